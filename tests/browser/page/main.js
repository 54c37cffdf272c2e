/* Puts the page together and hands the tests their levers: `window.__harness`. */
define(['jquery', 'app', 'loader', 'screens', 'settings', 'cache'], function ($, app, loader, screens, settings, cache) {
  'use strict';

  var harness = window.__harness;
  document.documentElement.dataset.colorScheme = app.boot.theme;
  document.documentElement.lang = app.boot.language;
  harness.loadsNothing = Boolean(app.constant('user_rights').is_free_user || app.boot.widgets_off);
  Object.keys(app.boot.faults).forEach(function (name) { harness[name] = app.boot.faults[name]; });

  harness.go = function (path) {
    window.history.pushState({}, '', path);
    return screens.go(path);
  };
  harness.openSettings = function (code) { settings.open(code); };
  harness.selectRows = function (ids) {
    app.data.current_list.each(function (row) { row.set('checked', ids.indexOf(row.get('id')) >= 0); });
  };
  harness.callRows = function (code, entity) { return loader.call(app.widgets.list[code], entity + '.selected'); };
  harness.remove = function (code) { $(document).trigger('widget:removed', [code]); };
  harness.install = function (code) { $(document).trigger('widget:installed', [code]); };
  harness.setTheme = function (theme) { 
    document.documentElement.dataset.colorScheme = theme;
    harness.lookBefore = harness.look();
  };
  harness.setLang = function (language) { app.lang_id = language; document.documentElement.lang = language; };
  harness.advanceClock = function (seconds) {
    harness.clockOffset += seconds * 1000;
    window.sessionStorage.setItem('standin:clock', String(harness.clockOffset));
  };
  harness.forgetList = cache.forget;
  harness.globals = Object.keys(window);
  harness.lookBefore = harness.look();
  screens.go(window.location.pathname).then(function () { harness.isReady = true; });
});
