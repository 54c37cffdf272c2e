/**
 * What lies on the manager's desk: the popups, by key, and what becomes of them. No drawing here.
 *
 * Events may come out of order (ids are given before they are stored): an older word about a key never undoes a newer.
 */
define([], function () {
  'use strict';

  const SECOND = 1000;
  const MINUTE = 60 * SECOND;
  /** How long a popup lies without news, by state; what a colleague or nobody has to deal with any more goes soon. */
  const LIVES = {
    ringing: 3 * MINUTE,
    talking: 240 * MINUTE,
    answered: 12 * SECOND,
    ended: 45 * SECOND,
    missed: 480 * MINUTE,
    new: 480 * MINUTE
  };
  const URGENCY = { ringing: 0, talking: 1, missed: 2, new: 3, ended: 4, answered: 5 };
  const MOST = 30;
  const TOMBSTONES = 200;

  return function createDesk(clock) {
    let entries = new Map();
    const removed = new Map();

    function isOlder(id, other) {
      return Boolean(id) && other !== undefined && Number(id) < Number(other);
    }

    function trim() {
      const surplus = entries.size - MOST;
      list().slice(surplus > 0 ? MOST : entries.size).forEach(function (entry) {
        entries.delete(entry.popup.key);
      });
    }

    /** The most urgent first, then the newest. */
    function list() {
      return Array.from(entries.values()).sort(function (one, other) {
        const urgency = URGENCY[one.popup.state] - URGENCY[other.popup.state];
        return urgency || (one.popup.at < other.popup.at ? 1 : one.popup.at > other.popup.at ? -1 : 0);
      });
    }

    /** The state of the key before this word: '' when it is new; null when the word changed nothing. */
    function put(popup, id) {
      const known = entries.get(popup.key);
      if (!(popup.state in URGENCY) || isOlder(id, removed.get(popup.key)) || (known && isOlder(id, known.id))) {
        return null;
      }
      entries.set(popup.key, { popup: popup, id: id, since: clock() });
      trim();
      return known ? known.popup.state : '';
    }

    /** The manager closed it here (no `id`: it stays closed), or the hub says with event `id` that it is dealt with. */
    function remove(key, id) {
      removed.set(key, id || Infinity);
      if (removed.size > TOMBSTONES) {
        removed.delete(removed.keys().next().value);
      }
      return entries.delete(key);
    }

    /** Takes away what lay long enough; keys that `isHeld` (somebody looks at them) stay. True if anything went. */
    function expire(isHeld) {
      const now = clock();
      let went = false;
      list().forEach(function (entry) {
        if (now - entry.since > LIVES[entry.popup.state] && !isHeld(entry.popup.key)) {
          entries.delete(entry.popup.key);
          went = true;
        }
      });
      return went;
    }

    return {
      put: put,
      remove: remove,
      expire: expire,
      list: function () {
        return list().map(function (entry) {
          return entry.popup;
        });
      },
      /** For another tab, or for this one after a reload. */
      save: function () {
        return Array.from(entries.values());
      },
      load: function (saved) {
        (saved || []).forEach(function (entry) {
          if (entry && entry.popup && !entries.has(entry.popup.key) && entry.popup.state in URGENCY) {
            entries.set(entry.popup.key, entry);
          }
        });
      },
      clear: function () {
        entries = new Map();
      }
    };
  };
});
