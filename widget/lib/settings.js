/** What stands in the widget's settings window: is the address right, and does the hub know this account? */
define(['./dom.js', './surface.js', './api.js'], function (dom, surface, apiModule) {
  'use strict';

  const h = dom.h;
  const FIELD = 'hub_address';

  return function createSettings(kit) {
    const t = kit.t;
    let note = null;

    function say(tone, lines) {
      note.setAttribute('data-tone', tone);
      dom.fill(
        note,
        lines.filter(Boolean).map(function (line) {
          return h('span', { class: 'crmhub-line' }, dom.user(line));
        })
      );
    }

    function greeting(session) {
      const who = session.employee && session.employee.name;
      return [
        t('settings.connected', { project: session.project || '', version: session.hub_version || '' }),
        who ? t('settings.you_are', { name: who }) : t('settings.you_are_nobody')
      ];
    }

    function trouble(error) {
      if (error.kind === 'offline') {
        return [t('settings.unreachable'), t('settings.unreachable_hint')];
      }
      return [error.message, error.status === 401 ? t('settings.unknown_hint') : ''];
    }

    function check(typed, button) {
      const address = apiModule.hubAddress(typed);
      if (!address) {
        say('bad', [t(typed.trim() ? 'settings.bad_address' : 'settings.no_address')]);
        return;
      }
      button.disabled = true;
      say('plain', [t('settings.checking', { address: address })]);
      apiModule
        .createApi(kit.page, t, address)
        .post('/session', { version: kit.page.version() })
        .then(
          function (session) {
            button.disabled = false;
            say(session.employee ? 'good' : 'warn', greeting(session));
          },
          function (error) {
            button.disabled = false;
            say('bad', trouble(error));
          }
        );
    }

    /** Adds the check to the window that the CRM drew. */
    function open(modal) {
      const field = modal.querySelector('input[name="' + FIELD + '"]');
      let place = modal.querySelector('.crmhub-settings');
      if (!place) {
        place = h('div', { class: 'crmhub crmhub-settings' });
        const controls = modal.querySelector('.widget_settings_block__controls');
        if (controls && controls.parentNode) {
          controls.parentNode.insertBefore(place, controls);
        } else {
          modal.appendChild(place);
        }
      }
      const root = surface.open(place, kit.page, ['controls.css', 'pages.css']);
      const button = h(
        'button',
        {
          class: 'crmhub-button',
          type: 'button',
          on: {
            click: function () {
              check(field ? field.value : kit.api.address, button);
            }
          }
        },
        dom.icon('check'),
        h('span', {}, t('settings.check'))
      );
      note = h('p', { class: 'crmhub-note', role: 'status' });
      dom.fill(
        root,
        h('p', { class: 'crmhub-hint' }, t('settings.address_hint')),
        button,
        note,
        h('p', { class: 'crmhub-hint' }, t('settings.more_hint'))
      );
    }

    /** True if what is to be saved can work; else the window stays open and says what to do. */
    function mayBeSaved(fields) {
      const typed = String(fields[FIELD] || '');
      if (apiModule.hubAddress(typed)) {
        return true;
      }
      if (note) {
        say('bad', [t(typed.trim() ? 'settings.bad_address' : 'settings.no_address')]);
      }
      return false;
    }

    return { open: open, mayBeSaved: mayBeSaved, field: FIELD };
  };
});
