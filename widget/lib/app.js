/**
 * The widget, behind the shell: puts its parts together and carries events from the hub to them.
 *
 * One tab leads: it has the session and the stream, and tells the others. Every tab draws for itself, so a popup looks
 * alike everywhere and goes everywhere at once.
 */
define([
  './kit.js', './api.js', './live.js', './tabs.js', './desk.js', './actions.js', './popup_stack.js', './card.js',
  './settings.js', './advanced.js', './surface.js', './sound.js', './frame.js'
], function (
  createKit, apiModule, createLive, createTabs, createDesk, createActions, createStack, createCard,
  createSettings, createAdvanced, surface, createSound, frame
) {
  'use strict';

  const SNAPSHOT = 'desk';
  const SNAPSHOT_LIFE_MS = 600000;
  const RING_EVERY = 3;

  return function createApp(page) {
    let address = apiModule.hubAddress(page.settings().hub_address);
    let kit = null;
    let parts = null;
    let session = null;
    let isOpen = false;
    let isRunning = false;
    let ticker = 0;
    let ticks = 0;
    let refresher = 0;
    let dropPalette = null;

    function build() {
      if (parts) {
        return parts;
      }
      kit = createKit(page, address);
      kit.notice = notice;
      kit.preferencesChanged = function (popups) {
        if (session) {
          share(Object.assign({}, session, { popups: popups }));
        }
      };
      dropPalette = surface.palette(page);
      const actions = createActions(kit);
      parts = {
        card: createCard(kit, actions),
        settings: createSettings(kit),
        advanced: createAdvanced(kit, actions),
        desk: createDesk(Date.now),
        sound: createSound(),
        stack: createStack(kit, actions, { close: close, done: done, minimised: minimised }),
        tabs: createTabs('crmhub:' + page.userId(), { lead: lead, message: hear }),
        live: createLive(kit.api, pass, arrive, streamState)
      };
      return parts;
    }

    // --- session ----------------------------------------------------------------------------------------------

    function isTooOld() {
      const least = ((session && session.min_widget_version) || '0').split('.').map(Number);
      const mine = page.version().split('.').map(Number);
      for (let place = 0; place < 3; place += 1) {
        if ((mine[place] || 0) !== (least[place] || 0)) {
          return (mine[place] || 0) < (least[place] || 0);
        }
      }
      return false;
    }

    function notice() {
      return isTooOld() ? kit.t('error.old') : '';
    }

    function begin() {
      return kit.api.post('/session', { version: page.version() }).then(function (answer) {
        kit.setSkew(answer.now ? Date.parse(answer.now) - Date.now() : 0);
        share(answer);
        return answer;
      });
    }

    /** What opens the stream: the session's own ticket the first time, then a ticket alone. */
    function pass() {
      return isOpen ? kit.api.post('/ticket') : begin();
    }

    /** A session that this tab opened is every tab's; its ticket is used up at once and stays here. */
    function share(answer) {
      const told = Object.assign({}, answer, { skew: kit.skew() });
      delete told.ticket;
      isOpen = true;
      adopt(told);
      parts.tabs.tell({ type: 'session', session: told });
    }

    function adopt(told) {
      session = told;
      kit.setSkew(told.skew);
      if (session.may && session.may.call) {
        page.onPhone(callNumber);
      } else {
        page.offPhone();
      }
    }

    /** Click-to-call on any number in the CRM. */
    function callNumber(value) {
      parts.stack.say(kit.t('popup.calling_number', { phone: kit.format.phone(value) }), 'plain');
      kit.api.post('/call', { request: apiModule.newRequest(), phone: value }).then(
        function (outcome) {
          parts.stack.say(outcome.message, outcome.state === 'failed' ? 'bad' : 'good');
        },
        function (error) {
          parts.stack.say(error.message, 'bad');
        }
      );
    }

    // --- tabs and the stream ----------------------------------------------------------------------------------

    function lead() {
      parts.live.start(restored());
    }

    function streamState(state, error) {
      if (state === 'refused' && error && (error.status === 401 || error.status === 403)) {
        isOpen = false;
      }
    }

    function arrive(name, data, id) {
      handle(name, data, id);
      parts.tabs.tell({ type: 'event', name: name, data: data, id: id });
      keep();
    }

    function hear(message) {
      if (message.type === 'who' && parts.tabs.isLeader()) {
        parts.tabs.tell({ type: 'state', session: session, entries: parts.desk.save(), after: parts.live.lastSeen() });
      } else if (message.type === 'state' && !parts.tabs.isLeader()) {
        parts.desk.load(message.entries);
        if (message.session) {
          adopt(message.session);
        }
        show();
        keep(message.after);
      } else if (message.type === 'session') {
        adopt(message.session);
      } else if (message.type === 'event') {
        handle(message.name, message.data, message.id);
        keep(message.id);
      } else if (message.type === 'closed') {
        parts.desk.remove(message.key);
        show();
      } else if (message.type === 'minimised') {
        parts.stack.setMinimised(message.value);
      }
    }

    function handle(name, data, id) {
      if (name === 'popup') {
        raise(data, id);
      } else if (name === 'dismiss') {
        parts.desk.remove(data.key, id);
        show();
      } else if (name === 'card') {
        parts.card.changed(data.entities);
      } else if (name === 'staff' && parts.tabs.isLeader()) {
        window.clearTimeout(refresher);
        refresher = window.setTimeout(function () {
          begin().catch(function () {
            // the stream goes on; the next session tells
            refresher = 0;
          });
        }, 1000 + Math.random() * 5000);
      }
    }

    function raise(popup, id) {
      const before = parts.desk.put(popup, id);
      if (before === null) {
        return;
      }
      const preferences = (session && session.popups) || {};
      show();
      if (popup.state === 'ringing' && before !== 'ringing' && preferences.sound && parts.tabs.isLeader()) {
        parts.sound.ring();
      }
      const isMyAnswer = popup.state === 'talking' && before === 'ringing' && popup.direction !== 'outbound';
      const url = (popup.deal && popup.deal.url) || (popup.contact && popup.contact.url);
      if (isMyAnswer && preferences.open_card_on_answer && url) {
        parts.tabs.once('open:' + popup.key, function () {
          page.open(url);
        });
      }
    }

    // --- popups -----------------------------------------------------------------------------------------------

    function show() {
      const list = parts.desk.list();
      parts.stack.show(list);
      if (list.length && !ticker) {
        ticker = window.setInterval(tick, 1000);
      } else if (!list.length && ticker) {
        window.clearInterval(ticker);
        ticker = 0;
      }
    }

    function tick() {
      ticks += 1;
      parts.stack.tick();
      if (parts.desk.expire(parts.stack.isHeld)) {
        show();
      }
      const isRinging = parts.desk.list().some(function (popup) {
        return popup.state === 'ringing';
      });
      if (isRinging && ticks % RING_EVERY === 0 && session && (session.popups || {}).sound && parts.tabs.isLeader()) {
        parts.sound.ring();
      }
    }

    function close(key) {
      parts.desk.remove(key);
      show();
      keep();
      parts.tabs.tell({ type: 'closed', key: key });
      kit.api.post('/popups/' + encodeURIComponent(key) + '/dismiss', { request: apiModule.newRequest() }).catch(function () {
        // closed here it stays; the other devices hear of it when the hub is back, or let it go in their own time
        return null;
      });
    }

    function done() {
      window.setTimeout(parts.card.refresh, 600);
    }

    function minimised(value) {
      parts.tabs.tell({ type: 'minimised', value: value });
    }

    // --- a reload of this tab ---------------------------------------------------------------------------------

    function keep(id) {
      const after = parts.tabs.isLeader() ? parts.live.lastSeen() : id || '';
      const saved = { user: page.userId(), at: Date.now(), after: after, entries: parts.desk.save() };
      kit.tabMemory.set(SNAPSHOT, JSON.stringify(saved));
    }

    /** Brings back what lay here before the page was loaded anew; gives the last event that it had seen. */
    function restored() {
      let saved = null;
      try {
        saved = JSON.parse(kit.tabMemory.get(SNAPSHOT) || 'null');
      } catch (error) {
        saved = null;
      }
      if (!saved || saved.user !== page.userId() || Date.now() - saved.at > SNAPSHOT_LIFE_MS) {
        return '';
      }
      parts.desk.load(saved.entries);
      parts.desk.expire(function () {
        return false;
      });
      show();
      return String(saved.after || '');
    }

    function hurry() {
      if (parts && parts.tabs.isLeader() && document.visibilityState === 'visible') {
        parts.live.hurry();
      }
    }

    function shortcut(event) {
      const original = event.originalEvent || event;
      if (original.altKey && original.shiftKey && original.code === 'KeyP') {
        original.preventDefault();
        parts.stack.focus();
      }
    }

    // --- what the page calls ----------------------------------------------------------------------------------

    function start() {
      build();
      if (isRunning || !address) {
        return;
      }
      isRunning = true;
      page.listen('visibilitychange', hurry);
      page.listen('keydown', shortcut);
      window.addEventListener('online', hurry);
      parts.tabs.start();
      parts.tabs.tell({ type: 'who' });
    }

    function render() {
      build();
      const card = page.card();
      const place = card && page.panel();
      if (place) {
        parts.card.show(place, card);
      } else {
        parts.card.leave();
      }
      parts.stack.settle();
    }

    function stop() {
      if (!parts) {
        return;
      }
      isRunning = false;
      window.clearInterval(ticker);
      window.clearTimeout(refresher);
      ticker = 0;
      window.removeEventListener('online', hurry);
      page.quiet();
      page.offPhone();
      parts.live.stop();
      parts.tabs.stop();
      parts.stack.stop();
      parts.sound.stop();
      parts.card.leave();
      parts.advanced.stop();
      frame.closeAll();
      document.querySelectorAll('.crmhub').forEach(function (place) {
        place.remove();
      });
      kit.tabMemory.remove(SNAPSHOT);
      dropPalette();
      parts = null;
      session = null;
      isOpen = false;
    }

    return {
      start: start,
      render: render,
      stop: stop,
      settings: function (modal) {
        build();
        if (modal) {
          parts.settings.open(modal);
        }
      },
      advanced: function () {
        const area = page.workArea();
        build();
        if (area) {
          parts.advanced.show(area);
        }
      },
      /** The settings window is about to be saved, or the widget switched off. */
      saved: function (fields, isOff) {
        build();
        if (isOff) {
          stop();
          return true;
        }
        if (fields[parts.settings.field] !== undefined && !parts.settings.mayBeSaved(fields)) {
          return false;
        }
        const next = apiModule.hubAddress(fields[parts.settings.field] || address);
        if (next !== address) {
          stop();
          address = next;
          start();
        }
        return true;
      }
    };
  };
});
