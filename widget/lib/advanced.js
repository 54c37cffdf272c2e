/** The widget's own page: what pops up for me, the employees, how the connections are, the way to the console. */
define(['./dom.js', './surface.js', './staff.js'], function (dom, surface, staff) {
  'use strict';

  const h = dom.h;
  const KINDS = ['calls', 'chats', 'messages', 'forms', 'records'];
  const WAYS = ['sound', 'open_card_on_answer'];
  const TONES = { ready: 'good', retrying: 'warn', off: 'plain' };
  const PAUSE_MS = 10000;

  return function createAdvanced(kit, actions) {
    const t = kit.t;
    let root = null;
    let timer = 0;
    let openRow = '';

    function block(name, content, hint) {
      return h(
        'section',
        { class: 'crmhub-block' },
        h('h2', {}, t('advanced.' + name)),
        hint ? h('p', { class: 'crmhub-hint' }, hint) : null,
        content
      );
    }

    function told(note, error) {
      actions.noteOf(note, 'bad', error.message);
    }

    function preferences(settings) {
      const note = h('p', { class: 'crmhub-note', role: 'status' });

      function box(name) {
        const field = h('input', { type: 'checkbox', name: name, checked: Boolean(settings.popups[name]) });
        field.addEventListener('change', function () {
          settings.popups[name] = field.checked;
          kit.api.put('/settings', { popups: settings.popups }).then(
            function () {
              actions.noteOf(note, 'good', t('advanced.saved'));
              kit.preferencesChanged(settings.popups);
            },
            function (error) {
              field.checked = !field.checked;
              settings.popups[name] = field.checked;
              told(note, error);
            }
          );
        });
        return h('label', { class: 'crmhub-check' }, field, h('span', {}, t('advanced.' + name)));
      }

      return [
        h('div', { class: 'crmhub-checks', role: 'group', 'aria-label': t('advanced.popups') }, KINDS.map(box)),
        h('div', { class: 'crmhub-checks' }, WAYS.map(box)),
        note
      ];
    }

    function save(row, note) {
      actions.noteOf(note, 'plain', t('action.working'));
      kit.api.put('/settings', { employees: [row] }).then(
        function (settings) {
          openRow = row.id;
          draw(settings);
          const again = root.querySelector('.crmhub-staff[data-id="' + CSS.escape(row.id) + '"] .crmhub-note');
          if (again) {
            actions.noteOf(again, 'good', t('advanced.saved'));
          }
        },
        function (error) {
          told(note, error);
        }
      );
    }

    function connections(settings) {
      return h(
        'ul',
        { class: 'crmhub-connections' },
        settings.connections.map(function (each) {
          return h(
            'li',
            { 'data-tone': TONES[each.health] || 'bad' },
            h('span', { class: 'crmhub-dot' }),
            h(
              'div',
              {},
              h('p', { class: 'crmhub-staff__name' }, dom.user(each.title || each.name)),
              h('p', { class: 'crmhub-faint' }, dom.user(each.sentence || '')),
              each.seen_at
                ? h('p', { class: 'crmhub-faint' }, t('advanced.seen', { when: kit.format.moment(each.seen_at) }))
                : null
            )
          );
        })
      );
    }

    function draw(settings) {
      const isAboutOthers = settings.employees.some(function (each) {
        return !settings.me || each.id !== settings.me.id;
      });
      dom.fill(
        root,
        settings.me
          ? block('popups', preferences(settings), t('advanced.popups_hint'))
          : block('popups', h('p', { class: 'crmhub-note', 'data-tone': 'warn' }, t('settings.you_are_nobody'))),
        settings.employees.length
          ? block(
              isAboutOthers ? 'employees' : 'myself',
              settings.employees.map(function (each) {
                const isOpen = each.id === openRow || settings.employees.length === 1;
                return staff.row(kit, each, save, isOpen);
              }),
              settings.note || t('advanced.employees_hint')
            )
          : null,
        settings.connections.length ? block('connections', connections(settings)) : null,
        h(
          'p',
          { class: 'crmhub-foot' },
          settings['console'] ? kit.link(settings['console'], t('advanced.open_hub'), 'crmhub-link') : null,
          h('span', { class: 'crmhub-faint' }, t('advanced.versions', { widget: kit.page.version(), hub: settings.hub_version || '' }))
        )
      );
    }

    function read() {
      window.clearTimeout(timer);
      kit.api.get('/settings').then(
        function (settings) {
          settings.employees = settings.employees || [];
          settings.connections = settings.connections || [];
          settings.popups = settings.popups || {};
          draw(settings);
        },
        function (error) {
          dom.fill(root, h('p', { class: 'crmhub-quiet', role: 'status' }, error.message));
          if (error.kind === 'offline') {
            timer = window.setTimeout(function () {
              if (root.isConnected) {
                read();
              }
            }, PAUSE_MS);
          }
        }
      );
    }

    return {
      show: function (area) {
        let place = area.querySelector('.crmhub-advanced');
        if (!place) {
          place = h('div', { class: 'crmhub crmhub-advanced' });
          area.appendChild(place);
        }
        root = surface.open(place, kit.page, ['controls.css', 'pages.css']);
        if (!kit.api.address) {
          dom.fill(root, h('p', { class: 'crmhub-quiet' }, t('card.not_connected')));
          return;
        }
        dom.fill(root, h('p', { class: 'crmhub-faint', role: 'status' }, t('card.loading')));
        read();
      },
      stop: function () {
        window.clearTimeout(timer);
        if (root) {
          root.getRootNode().host.remove();
          root = null;
        }
      }
    };
  };
});
