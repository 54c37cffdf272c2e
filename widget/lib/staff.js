/** One employee on the settings page: where calls may go for them, and when they are away. */
define(['./dom.js'], function (dom) {
  'use strict';

  const h = dom.h;

  function labelled(text, field) {
    return h('label', { class: 'crmhub-labelled' }, h('span', { class: 'crmhub-label' }, text), field);
  }

  /** A date is a whole day; a moment has its hour. */
  function momentField(kit, value) {
    const isDay = !value || value.length === 10;
    return h('input', {
      class: 'crmhub-field',
      type: isDay ? 'date' : 'datetime-local',
      required: true,
      value: isDay ? value || '' : kit.format.forField(new Date(value))
    });
  }

  function momentOf(field) {
    return field.type === 'date' ? field.value : new Date(field.value).toISOString();
  }

  function dayText(kit, value) {
    return value.length === 10 ? kit.format.day(value + 'T12:00:00') : kit.format.moment(value);
  }

  function isNow(absence) {
    const from = new Date(absence.from.length === 10 ? absence.from + 'T00:00:00' : absence.from);
    const to = new Date(absence.to.length === 10 ? absence.to + 'T23:59:59' : absence.to);
    return from <= new Date() && new Date() <= to;
  }

  function summary(kit, employee) {
    const away = employee.absences.find(isNow);
    return h(
      'summary',
      {},
      dom.user(employee.name || employee.id, 'crmhub-staff__name crmhub-clamp1'),
      away
        ? h('span', { class: 'crmhub-tag crmhub-tag_warn' }, kit.t('advanced.away_until', { when: dayText(kit, away.to) }))
        : null,
      h(
        'span',
        { class: 'crmhub-faint crmhub-push crmhub-clamp1' },
        employee.destinations.length
          ? dom.user(employee.destinations.map(function (each) {
              return each.title || each.id;
            }).join(', '))
          : kit.t('advanced.no_destinations')
      )
    );
  }

  function editor(kit, employee, save) {
    const t = kit.t;
    const places = employee.destinations.map(function (each) {
      return { id: each.id, title: each.title || each.id };
    });
    const list = h('ol', { class: 'crmhub-places' });
    const entry = h('input', {
      class: 'crmhub-field',
      type: 'text',
      maxlength: 120,
      autocomplete: 'off',
      placeholder: t('advanced.destination_hint')
    });
    const rows = h('div', { class: 'crmhub-absences' });
    const note = h('p', { class: 'crmhub-note', role: 'status' });

    function sign(name, label, press, isOff) {
      return h(
        'button',
        { class: 'crmhub-sign', type: 'button', 'aria-label': label, title: label, disabled: isOff, on: { click: press } },
        dom.icon(name)
      );
    }

    function drawPlaces() {
      dom.fill(
        list,
        places.map(function (each, index) {
          return h(
            'li',
            {},
            dom.user(each.title, 'crmhub-clamp1'),
            h(
              'span',
              { class: 'crmhub-push' },
              sign('up', t('advanced.prefer', { name: dom.spoken(each.title) }), function () {
                places.splice(index - 1, 0, places.splice(index, 1)[0]);
                drawPlaces();
              }, index === 0),
              sign('trash', t('advanced.remove', { name: dom.spoken(each.title) }), function () {
                places.splice(index, 1);
                drawPlaces();
              })
            )
          );
        })
      );
      list.hidden = !places.length;
    }

    function addPlace() {
      const typed = entry.value.trim();
      if (typed && !places.some(function (each) { return each.id === typed; })) {
        places.push({ id: typed, title: typed });
      }
      entry.value = '';
      drawPlaces();
      entry.focus();
    }

    function addAbsence(absence) {
      const from = momentField(kit, absence.from);
      const to = momentField(kit, absence.to);
      const reason = h('input', { class: 'crmhub-field', type: 'text', maxlength: 200, value: absence.reason || '' });
      const row = h(
        'div',
        { class: 'crmhub-absence' },
        labelled(t('advanced.from'), from),
        labelled(t('advanced.to'), to),
        labelled(t('advanced.reason'), reason),
        sign('trash', t('advanced.remove_absence'), function () {
          row.remove();
        })
      );
      row.read = function () {
        return { from: momentOf(from), to: momentOf(to), reason: reason.value.trim() };
      };
      rows.appendChild(row);
      return from;
    }

    employee.absences.forEach(addAbsence);
    drawPlaces();
    return h(
      'form',
      {
        class: 'crmhub-staff__form',
        on: {
          submit: function (event) {
            event.preventDefault();
            if (entry.value.trim()) {
              addPlace();
            }
            save(
              {
                id: employee.id,
                destinations: places.map(function (each) { return each.id; }),
                absences: Array.from(rows.children).map(function (row) { return row.read(); })
              },
              note
            );
          }
        }
      },
      h('p', { class: 'crmhub-label' }, t('advanced.destinations')),
      list,
      h(
        'div',
        { class: 'crmhub-inline' },
        labelled(t('advanced.new_destination'), entry),
        h('button', { class: 'crmhub-button', type: 'button', on: { click: addPlace } }, dom.icon('plus'), h('span', {}, t('advanced.add')))
      ),
      h('p', { class: 'crmhub-label' }, t('advanced.absences')),
      rows,
      h(
        'button',
        {
          class: 'crmhub-button',
          type: 'button',
          on: {
            click: function () {
              addAbsence({}).focus();
            }
          }
        },
        dom.icon('plus'),
        h('span', {}, t('advanced.add_absence'))
      ),
      h('button', { class: 'crmhub-button crmhub-button_main', type: 'submit' }, t('advanced.save')),
      note
    );
  }

  function readOnly(kit, employee) {
    return h(
      'div',
      { class: 'crmhub-staff__form' },
      employee.absences.length
        ? h(
            'ul',
            {},
            employee.absences.map(function (each) {
              return h('li', {}, dayText(kit, each.from) + ' – ' + dayText(kit, each.to), each.reason ? [': ', dom.user(each.reason)] : null);
            })
          )
        : null,
      h('p', { class: 'crmhub-faint' }, kit.t('advanced.read_only'))
    );
  }

  /** `save(row, note)` sends the row and tells in `note` what became of it. */
  function row(kit, employee, save, isOpen) {
    return h(
      'details',
      { class: 'crmhub-staff', open: isOpen, 'data-id': employee.id },
      summary(kit, employee),
      employee.can_edit ? editor(kit, employee, save) : readOnly(kit, employee)
    );
  }

  return { row: row };
});
