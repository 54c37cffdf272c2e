/** Open tasks of the client: done, or later. */
define(['./dom.js', './api.js', './when.js'], function (dom, apiModule, when) {
  'use strict';

  const h = dom.h;

  function dueText(kit, each) {
    if (!each.due) {
      return kit.t('task.no_due');
    }
    const when = kit.format.moment(each.due);
    return each.is_overdue ? kit.t('task.overdue', { when: when }) : when;
  }

  function task(kit, actions, each, onDone) {
    const form = h('div', { class: 'crmhub-actions__form' });
    const note = h('p', { class: 'crmhub-note', role: 'status' });
    const may = each.can || [];
    const base = '/tasks/' + encodeURIComponent(each.entity) + '/' + encodeURIComponent(each.id);
    const intents = {};
    let opener = null;

    function shut() {
      dom.empty(form);
      form.removeAttribute('data-busy');
      if (opener) {
        opener.setAttribute('aria-expanded', 'false');
        opener = null;
      }
    }

    function toggle(button, content) {
      const isSame = opener === button;
      shut();
      if (!isSame) {
        opener = button;
        button.setAttribute('aria-expanded', 'true');
        form.setAttribute('data-busy', '');
        form.appendChild(content);
        form.querySelector('input, textarea, button').focus();
      }
    }

    function run(what, body) {
      intents[what] = intents[what] || apiModule.newRequest();
      actions.noteOf(note, 'plain', kit.t('action.working'));
      kit.api.post(base + '/' + what, Object.assign({ request: intents[what] }, body)).then(
        function (done) {
          actions.noteOf(note, actions.tones[done.state] || 'plain', done.message || kit.t('action.done'));
          if (done.state !== 'failed') {
            delete intents[what];
            shut();
            element.classList.toggle('crmhub-task_done', what === 'complete');
            onDone();
          }
        },
        function (error) {
          if (error.kind === 'refused') {
            delete intents[what];
          }
          actions.noteOf(note, 'bad', error.message);
        }
      );
    }

    function completion() {
      const result = h('textarea', {
        class: 'crmhub-field',
        rows: 2,
        maxlength: 2000,
        placeholder: kit.t('task.result_hint'),
        'aria-label': kit.t('task.result')
      });
      return h(
        'form',
        {
          class: 'crmhub-when',
          on: {
            submit: function (event) {
              const text = result.value.trim();
              event.preventDefault();
              run('complete', text ? { text: text } : {});
            }
          }
        },
        result,
        h('button', { class: 'crmhub-button crmhub-button_main', type: 'submit' }, kit.t('task.complete_now'))
      );
    }

    function button(name, content) {
      const made = h(
        'button',
        {
          class: 'crmhub-text-button',
          type: 'button',
          'data-act': name,
          'aria-expanded': 'false',
          on: {
            click: function () {
              toggle(made, content());
            }
          }
        },
        kit.t('task.' + name)
      );
      return made;
    }

    const element = h(
      'li',
      { class: 'crmhub-task', 'data-tone': each.is_overdue ? 'bad' : 'plain', 'data-id': each.id },
      h('p', { class: 'crmhub-task__text' }, dom.user(each.text || kit.t('task.nameless'), 'crmhub-clamp5')),
      h(
        'p',
        { class: 'crmhub-event__meta' },
        h(
          'span',
          {},
          h(
            'span',
            { class: 'crmhub-result' },
            dueText(kit, each)
          ),
          each.who ? h('span', {}, dom.user(each.who.name)) : null
        )
      ),
      may.length
        ? h(
            'p',
            { class: 'crmhub-task__acts' },
            may.indexOf('complete') >= 0 ? button('complete', completion) : null,
            may.indexOf('reschedule') >= 0
              ? button('reschedule', function () {
                  return when.choice(kit, kit.t('task.until'), function (due) {
                    run('reschedule', { due: due });
                  });
                })
              : null
          )
        : null,
      form,
      note
    );
    return element;
  }

  function list(kit, actions, tasks, onDone) {
    return h(
      'ul',
      { class: 'crmhub-tasks' },
      tasks.map(function (each) {
        return task(kit, actions, each, onDone);
      })
    );
  }

  return { list: list };
});
