/**
 * The stream of events. A ticket opens it and is good for a minute; what was missed while it was down comes after it
 * opens again, because the hub is told the last id that was seen. A stream that fails is opened with a new ticket,
 * sooner at first and later when it keeps failing, each browser at its own moment, so that a hub that restarts is not
 * overrun.
 */
define([], function () {
  'use strict';

  const FIRST_PAUSE_MS = 700;
  const LONGEST_PAUSE_MS = 30000;
  const REFUSED_PAUSE_MS = 600000;
  const SLEEP_MS = 30000;
  const STEADY_MS = 5000;
  const EVENTS = ['hello', 'popup', 'dismiss', 'card', 'staff'];
  const REMEMBERED = 1000;

  /**
   * `open()` resolves to {ticket, after}; `onEvent(name, data, id)` gets each event once; `onState(state)` is told
   * "open", "lost" or, with the refusal, "refused".
   */
  return function createLive(api, open, onEvent, onState) {
    let source = null;
    let timer = 0;
    let watch = 0;
    let failures = 0;
    let after = '';
    let isStopped = true;
    let isRefused = false;
    let lastBeat = 0;
    let openedAt = 0;
    const seen = new Set();

    function close() {
      if (source) {
        source.close();
        source = null;
      }
      window.clearTimeout(timer);
      timer = 0;
    }

    function retry(pause) {
      close();
      if (!isStopped) {
        timer = window.setTimeout(connect, pause);
      }
    }

    /** A stream that lasted was a good one; one that opens and breaks at once is not asked for in a hurry. */
    function backOff() {
      if (openedAt && Date.now() - openedAt > STEADY_MS) {
        failures = 0;
      }
      openedAt = 0;
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * Math.pow(2, failures));
      failures += 1;
      retry(pause / 2 + Math.random() * pause);
    }

    function take(name, event) {
      const id = event.lastEventId || '';
      if (id && seen.has(id)) {
        return;
      }
      if (id) {
        seen.add(id);
        if (seen.size > REMEMBERED) {
          seen.delete(seen.values().next().value);
        }
        after = Number(id) > Number(after || 0) ? id : after;
      }
      let data = null;
      try {
        data = JSON.parse(event.data || '{}');
      } catch (error) {
        return;
      }
      if (name === 'hello') {
        openedAt = Date.now();
        onState('open');
      } else {
        onEvent(name, data, id);
      }
    }

    function connect() {
      close();
      open().then(
        function (pass) {
          if (isStopped || source) {
            return;
          }
          isRefused = false;
          after = after || String(pass.after || '');
          const mine = new EventSource(api.streamUrl(pass.ticket, after));
          source = mine;
          EVENTS.forEach(function (name) {
            mine.addEventListener(name, function (event) {
              take(name, event);
            });
          });
          mine.onerror = function () {
            if (mine === source) {
              onState('lost');
              backOff();
            }
          };
        },
        function (error) {
          if (isStopped) {
            return;
          }
          if (error.kind === 'refused') {
            isRefused = true;
            onState('refused', error);
            retry(REFUSED_PAUSE_MS);
          } else {
            onState('lost');
            backOff();
          }
        }
      );
    }

    /** A computer that slept may hold a connection that nobody serves any more. */
    function beat() {
      const now = Date.now();
      if (now - lastBeat > 3 * SLEEP_MS) {
        connect();
      }
      lastBeat = now;
    }

    return {
      start: function (lastSeen) {
        after = lastSeen || after;
        isStopped = false;
        lastBeat = Date.now();
        watch = window.setInterval(beat, SLEEP_MS);
        connect();
      },
      /** The network came back, or somebody looks at the page again: no need to wait, unless the hub said no. */
      hurry: function () {
        if (!isStopped && !isRefused && timer) {
          failures = 0;
          connect();
        }
      },
      lastSeen: function () {
        return after;
      },
      stop: function () {
        isStopped = true;
        window.clearInterval(watch);
        close();
      }
    };
  };
});
