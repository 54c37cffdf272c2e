/* The list of widgets, kept in IndexedDB for 30 minutes as the page does: a new version may come late. */
define(['jquery'], function ($) {
  'use strict';

  var LIFE = 30 * 60 * 1000;

  function open() {
    return new Promise(function (resolve, reject) {
      var asked = indexedDB.open('integration_widgets', 1);
      asked.onupgradeneeded = function () { asked.result.createObjectStore('lists'); };
      asked.onsuccess = function () { resolve(asked.result); };
      asked.onerror = function () { reject(asked.error); };
    });
  }
  function use(mode, act) {
    return open().then(function (base) {
      return new Promise(function (resolve, reject) {
        var asked = act(base.transaction('lists', mode).objectStore('lists'));
        asked.onsuccess = function () { resolve(asked.result); base.close(); };
        asked.onerror = function () { reject(asked.error); base.close(); };
      });
    });
  }
  return {
    list: function (area, user, version, now) {
      var key = user + '/' + version;
      return use('readonly', function (lists) { return lists.get(key); }).then(function (held) {
        if (held && now - held.at < LIFE) {
          return held.answer;
        }
        return Promise.resolve($.ajax({ url: '/ajax/widgets/list', method: 'POST', data: { area: area }, dataType: 'json' }))
          .then(function (answer) {
            return use('readwrite', function (lists) { return lists.put({ at: now, answer: answer }, key); })
              .then(function () { return answer; });
          });
      });
    },
    forget: function () { return use('readwrite', function (lists) { return lists.clear(); }); }
  };
});
