/**
 * What a manager can do with a client, in the card and in a popup alike: take, create, call-back task, call, write.
 * One row of buttons, a small form under it where one is needed, and one line that tells what became of it.
 */
define(['./dom.js', './api.js', './when.js', './frame.js'], function (dom, apiModule, when, frame) {
  'use strict';

  const h = dom.h;
  const SUCCESS_MS = 20000;
  const TONES = { done: 'good', waiting: 'warn', failed: 'bad' };

  function createActions(kit) {
    const t = kit.t;
    let turn = 0;

    /** Says in `note` what became of something; a success is not said for ever. */
    function noteOf(note, tone, message, links) {
      const mark = String((turn += 1));
      note.setAttribute('data-tone', tone);
      note.setAttribute('data-turn', mark);
      if (tone === 'good') {
        window.setTimeout(function () {
          if (note.getAttribute('data-turn') === mark) {
            dom.empty(note);
          }
        }, SUCCESS_MS);
      }
      dom.fill(
        note,
        h('span', {}, dom.user(message)),
        (links || []).map(function (each) {
          return each.url ? kit.link(each.url, each.text, 'crmhub-note__link') : null;
        })
      );
    }

    /**
     * `subject`: {client, can, interaction, contact, deal, phones, openUrl}. `onDone(what)` is told after each success.
     * `told` is the line of the bar that this one follows: what it says stays. Gives {element, note, isBusy()}.
     */
    function bar(subject, onDone, told) {
      const row = h('div', { class: 'crmhub-actions__row' });
      const form = h('div', { class: 'crmhub-actions__form' });
      const note = told || h('p', { class: 'crmhub-note', role: 'status' });
      const element = h('div', { class: 'crmhub-actions' }, row, form, note);
      const intents = {};
      const base = '/clients/' + encodeURIComponent(subject.client.id);
      let running = 0;
      let opener = null;

      function closeForm() {
        dom.empty(form);
        if (opener) {
          opener.setAttribute('aria-expanded', 'false');
          opener = null;
        }
      }

      function openForm(button, content) {
        const isSame = opener === button;
        closeForm();
        if (isSame) {
          return;
        }
        opener = button;
        button.setAttribute('aria-expanded', 'true');
        form.appendChild(content);
        const first = form.querySelector('input, button');
        if (first) {
          first.focus();
        }
      }

      /** Sends an intent; a failed one keeps its name, so that trying again cannot do it twice. */
      function run(what, path, body, button) {
        const request = (intents[what] = intents[what] || apiModule.newRequest());
        const sent = Object.assign({ request: request }, body);
        if (subject.interaction) {
          sent.interaction = subject.interaction;
        }
        running += 1;
        button.setAttribute('aria-busy', 'true');
        button.disabled = true;
        noteOf(note, 'plain', t('action.working'));
        kit.api.post(path, sent).then(
          function (done) {
            running -= 1;
            button.removeAttribute('aria-busy');
            button.disabled = false;
            const links = done.links || {};
            noteOf(note, TONES[done.state] || 'plain', done.message || t('action.done'), [
              { url: links.contact, text: t('action.open_contact') },
              { url: links.deal, text: t('action.open_deal') }
            ]);
            if (done.state !== 'failed') {
              delete intents[what];
              closeForm();
              if (what !== 'call') {
                button.hidden = what === 'take' || what === 'create';
              }
              onDone(what);
            }
          },
          function (error) {
            running -= 1;
            button.removeAttribute('aria-busy');
            button.disabled = false;
            if (error.kind === 'refused') {
              delete intents[what];
            }
            noteOf(note, 'bad', error.message);
          }
        );
      }

      function missing() {
        const what = [];
        if (!subject.contact) {
          what.push('contact');
        }
        if (!subject.deal) {
          what.push('deal');
        }
        return what.length ? what : ['deal'];
      }

      function createForm(button, what) {
        const name = h('input', {
          class: 'crmhub-field',
          type: 'text',
          maxlength: 200,
          autocomplete: 'off',
          placeholder: t('action.name_hint'),
          'aria-label': t('action.name')
        });
        return h(
          'form',
          {
            class: 'crmhub-inline',
            on: {
              submit: function (event) {
                const typed = name.value.trim();
                event.preventDefault();
                run('create', base + '/create', typed ? { what: what, name: typed } : { what: what }, button);
              }
            }
          },
          name,
          h('button', { class: 'crmhub-button crmhub-button_main', type: 'submit' }, t('action.create_now'))
        );
      }

      function callForm(button) {
        return h(
          'div',
          { class: 'crmhub-chips' },
          subject.phones.map(function (phone) {
            return h(
              'button',
              {
                class: 'crmhub-chip',
                type: 'button',
                on: {
                  click: function () {
                    run('call', base + '/call', { phone: phone }, button);
                  }
                }
              },
              dom.number(kit.format.phone(phone))
            );
          })
        );
      }

      function write(button) {
        button.disabled = true;
        noteOf(note, 'plain', t('action.working'));
        kit.api.get(base + '/frame').then(
          function (answer) {
            button.disabled = false;
            dom.empty(note);
            frame.open(kit, dom.webAddress(answer.url));
          },
          function (error) {
            button.disabled = false;
            noteOf(note, 'bad', error.message);
          }
        );
      }

      function button(name, sign, press, hasForm) {
        const made = h(
          'button',
          {
            class: 'crmhub-button',
            type: 'button',
            'data-act': name,
            'aria-expanded': hasForm ? 'false' : null,
            on: {
              click: function () {
                press(made);
              }
            }
          },
          dom.icon(sign),
          h('span', {}, t('action.' + name))
        );
        return made;
      }

      const offers = {
        open: function () {
          return button('open', 'link', function () {
            kit.page.open(subject.openUrl);
            onDone('open');
          });
        },
        call: function () {
          const hasChoice = (subject.phones || []).length > 1;
          return button(
            'call',
            'phone',
            function (made) {
              if (hasChoice) {
                openForm(made, callForm(made));
              } else {
                run('call', base + '/call', {}, made);
              }
            },
            hasChoice
          );
        },
        write: function () {
          return button('write', 'chat', write);
        },
        take: function () {
          return button('take', 'person', function (made) {
            run('take', base + '/take', {}, made);
          });
        },
        create: function () {
          const what = missing();
          const made = button(
            'create',
            'plus',
            function (pressed) {
              if (what.indexOf('contact') >= 0) {
                openForm(pressed, createForm(pressed, what));
              } else {
                run('create', base + '/create', { what: what }, pressed);
              }
            },
            what.indexOf('contact') >= 0
          );
          made.lastChild.textContent = t('action.create_' + what.join('_'));
          return made;
        },
        task: function () {
          return button(
            'task',
            'clock',
            function (made) {
              openForm(
                made,
                when.choice(kit, t('action.task_when'), function (due) {
                  run('task', base + '/task', { due: due }, made);
                })
              );
            },
            true
          );
        }
      };

      ['open', 'call', 'write', 'create', 'take', 'task']
        .filter(function (name) {
          return (subject.can || []).indexOf(name) >= 0 && (name !== 'open' || subject.openUrl);
        })
        .forEach(function (name, place) {
          const made = offers[name]();
          if (place === 0) {
            made.classList.add('crmhub-button_main');
          }
          row.appendChild(made);
        });

      element.addEventListener('keydown', function (event) {
        if (event.key === 'Escape' && opener) {
          const back = opener;
          event.stopPropagation();
          closeForm();
          back.focus();
        }
      });

      return {
        element: element,
        note: note,
        /** True while something is under way or half typed: then nobody redraws it. */
        isBusy: function () {
          return running > 0 || opener !== null;
        }
      };
    }

    return { bar: bar, noteOf: noteOf, tones: TONES };
  }

  return createActions;
});
