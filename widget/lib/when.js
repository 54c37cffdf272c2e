/** The choice of a moment: three that fit nearly always, and the browser's own date-time field for the rest. */
define(['./dom.js'], function (dom) {
  'use strict';

  const h = dom.h;

  function inMinutes(minutes) {
    const due = new Date(Date.now() + minutes * 60000);
    due.setSeconds(0, 0);
    return due;
  }

  function tomorrowAt(hour) {
    const due = new Date();
    due.setDate(due.getDate() + 1);
    due.setHours(hour, 0, 0, 0);
    return due;
  }

  /** `choose(due)` gets the moment as ISO 8601 in UTC. */
  function choice(kit, label, choose) {
    const t = kit.t;
    const field = h('input', {
      class: 'crmhub-field',
      type: 'datetime-local',
      required: true,
      min: kit.format.forField(new Date()),
      value: kit.format.forField(tomorrowAt(10)),
      'aria-label': t('when.own')
    });

    function chip(text, due) {
      return h(
        'button',
        {
          class: 'crmhub-chip',
          type: 'button',
          on: {
            click: function () {
              choose(due().toISOString());
            }
          }
        },
        text
      );
    }

    return h(
      'form',
      {
        class: 'crmhub-when',
        on: {
          submit: function (event) {
            event.preventDefault();
            if (field.value) {
              choose(new Date(field.value).toISOString());
            }
          }
        }
      },
      h('p', { class: 'crmhub-label' }, label),
      h(
        'div',
        { class: 'crmhub-chips' },
        chip(t('when.in_quarter'), inMinutes.bind(null, 15)),
        chip(t('when.in_hour'), inMinutes.bind(null, 60)),
        chip(t('when.tomorrow_ten'), tomorrowAt.bind(null, 10))
      ),
      h('div', { class: 'crmhub-inline' }, field, h('button', { class: 'crmhub-button', type: 'submit' }, t('when.set')))
    );
  }

  return { choice: choice };
});
