/**
 * Many tabs, one connection: the tab that holds the lock leads and has the stream, the others mirror what it tells.
 * When it closes, the browser gives the lock to the next. A browser without locks lets every tab lead for itself.
 */
define([], function () {
  'use strict';

  return function createTabs(name, handlers) {
    const hasLocks = Boolean(navigator.locks && window.BroadcastChannel);
    const channel = hasLocks ? new BroadcastChannel(name) : null;
    const stop = new AbortController();
    let release = null;
    let isLeader = false;

    function lead() {
      isLeader = true;
      handlers.lead();
    }

    function start() {
      if (!hasLocks) {
        lead();
        return;
      }
      channel.onmessage = function (event) {
        handlers.message(event.data || {});
      };
      navigator.locks
        .request(name, { signal: stop.signal }, function () {
          lead();
          return new Promise(function (resolve) {
            release = resolve;
          });
        })
        .catch(function () {
          // this tab stopped before its turn came
          isLeader = false;
        });
    }

    return {
      start: start,
      isLeader: function () {
        return isLeader;
      },
      tell: function (message) {
        if (channel) {
          channel.postMessage(message);
        }
      },
      /**
       * Does `act` in one tab only, however many see the same event: the one that the manager is in comes first, then
       * one that is visible, then any.
       */
      once: function (what, act) {
        if (!hasLocks) {
          act();
          return;
        }
        const isHidden = document.visibilityState !== 'visible';
        const pause = document.hasFocus() ? 0 : isHidden ? 500 : 200;
        window.setTimeout(function () {
          if (stop.signal.aborted) {
            return;
          }
          navigator.locks.request(name + ':' + what, { ifAvailable: true }, function (lock) {
            if (!lock) {
              return null;
            }
            act();
            return new Promise(function (resolve) {
              window.setTimeout(resolve, 3000);
            });
          });
        }, pause);
      },
      stop: function () {
        stop.abort();
        if (release) {
          release();
        }
        if (channel) {
          channel.close();
        }
        isLeader = false;
      }
    };
  };
});
