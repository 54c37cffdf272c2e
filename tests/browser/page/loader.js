/*
 * How the page loads widgets, step by step (reference 1.5). The order, the moments and the carelessness are the vendor's.
 */
define(['jquery', 'app', 'widget', 'cache'], function ($, app, SystemWidget, cache) {
  'use strict';

  var harness = window.__harness;

  function call(widget, name, args) {
    var answer;
    var entry = { t: Math.round(performance.now()), widget: widget._params.widget_code, callback: name, returned: undefined };
    harness.calls.push(entry);
    // `this` of a callback is what it hangs on, never the widget: `widget.callbacks.render()`
    var keys = name.split('.');
    var owner = keys.slice(0, -1).reduce(function (object, key) { return object && object[key]; }, widget.callbacks);
    var handler = owner && owner[keys[keys.length - 1]];
    if (typeof handler !== 'function') {
      entry.returned = 'absent';
      return undefined;
    }
    if (name === 'render' && harness.renderAs) {
      handler.apply(owner, args || []);
      answer = harness.renderAs === 'falsy' ? false : new Promise(function (resolve) { window.setTimeout(resolve, 60, true); });
    } else {
      answer = handler.apply(owner, args || []);
    }
    entry.returned = answer && answer.then ? 'promise' : String(answer);
    return answer;
  }

  // 1
  function tearDown() {
    Object.keys(app.widgets.list).forEach(function (code) {
      var widget = app.widgets.list[code];
      if (widget.init_once === 'Y' && widget._params.widget_active === 'Y') {
        return;
      }
      remove(code);
    });
  }
  function remove(code) {
    var widget = app.widgets.list[code];
    try {
      call(widget, 'destroy');
    } catch (error) {
      console.error(error);
    }
    $(document).off(widget.ns);
    $('#widgets_block .card-widgets__widget-' + code).remove();
    delete app.widgets.list[code];
    ['phone', 'email'].forEach(function (type) {
      harness.actions[type] = (harness.actions[type] || []).filter(function (one) { return one.widget !== code; });
    });
  }

  // 5 and 6h
  function ownPages(widget) {
    var code = widget._params.widget_code;
    var v3 = app.screen.v3;
    if (v3 === 'widget.advanced_settings' && app.screen.code === code) { call(widget, 'advancedSettings'); }
    if (v3 === 'widget.advanced_stats' && app.screen.code === code) { call(widget, 'advancedStats'); }
    if (v3 === 'widget.widget_page' && app.screen.code === code) {
      var parts = window.location.pathname.split('/').filter(Boolean);
      call(widget, 'initMenuPage', [{ location: 'widget_page', item_code: parts[2], subitem_code: parts[3] }]);
    }
  }

  function settingsOf(record) {
    if (typeof record.settings !== 'string') {
      return record.settings || {};
    }
    try {
      return JSON.parse(record.settings);
    } catch (error) {
      return {};
    }
  }

  // 6
  function start(code, record, Constructor, langs) {
    try {
      Constructor.prototype = Object.create(SystemWidget.prototype);
      var widget = new Constructor();
      widget.ns = '.widget:' + code;
      widget.init_once = record.init_once;
      langs.widget = $.extend({}, langs.widget, { name: record.name, description: record.description });
      widget.set_lang(langs);
      widget.set_settings($.extend({}, settingsOf(record), {
        id: record.id, status: record.status, widget_code: code, path: record.path,
        images_path: record.images_path || record.path + '/images', version: record.installed_version,
        oauth_client_uuid: record.oauth_client_uuid, widget_active: record.active, active: record.active,
        support: record.support || {}
      }));
      app.widgets.list[code] = widget;
      if (['render', 'init', 'bind_actions'].some(function (name) { return typeof widget.callbacks[name] !== 'function'; })) {
        delete app.widgets.list[code];   // dropped in silence
        return;
      }
      var rendered = call(widget, 'render');
      var go = function () {
        $(document).trigger('widget:' + code + ':loaded');
        call(widget, 'init');
      };
      if (rendered && rendered.then) {
        rendered.then(go);
      } else if (rendered) {
        go();
      }
      call(widget, 'bind_actions');
      ownPages(widget);
    } catch (error) {
      console.error(error);
    }
  }

  function install(code, record) {
    return new Promise(function (resolve) {
      var version = '?v=' + record.installed_version;
      // the person's language if the widget has it, else its first
      var declared = (record.manifest && record.manifest.widget.locale) || [];
      var spoken = declared.indexOf(app.lang_id) >= 0 ? app.lang_id : declared[0];
      var texts = spoken ? record.lang.replace(/[^/]+\.json$/, spoken + '.json') : record.lang;
      window.requirejs(['optional!' + record.src + version, 'json!' + texts + version],
        function (Constructor, langs) {
          if (Constructor && record.active === 'Y') {
            start(code, record, Constructor, langs);
          }
          resolve();
        }, function (error) {
          console.error(error);
          resolve();
        });
    });
  }

  function load() {
    tearDown();
    // 2
    if (app.constant('user_rights').is_free_user || app.boot.widgets_off || /^\/settings\/pay/.test(location.pathname)) {
      return Promise.resolve();
    }
    // 3
    return cache.list(app.getWidgetsArea(), app.constant('user').id, app.constant('widgets_cache_version'), harness.now())
      .then(function (answer) {
        app.widgets.system = $.extend({}, answer.system, {
          area: app.screen.area, amouser_id: app.constant('user').id, amouser: app.constant('user').login,
          amohash: app.constant('user').api_key
        });
        harness.records = answer.widgets;
        var work = Object.keys(answer.widgets).map(function (code) {
          var record = answer.widgets[code];
          if (record.active !== 'Y') {
            return null;   // 4
          }
          var known = app.widgets.list[code];
          if (!known) {
            return install(code, record);
          }
          try {
            call(known, 'render');
            ownPages(known);
          } catch (error) {
            console.error(error);
          }
          return null;
        });
        return Promise.all(work);
      })
      .then(function () {
        app.widgets.loaded = true;   // 7
        $('#list_table').trigger('list:checkbox');
        harness.loads = (harness.loads || 0) + 1;
      });
  }

  // 8
  $(document).on('widgets:load', load);
  $(document).on('widget:installed', function (event, code, settings) {
    var record = harness.records[code];
    record.active = 'Y';
    record.status = 'installed';
    record.settings = settings || record.settings;
    install(code, record);
  });
  $(document).on('widget:removed', function (event, code) {
    if (app.widgets.list[code]) {
      $(document).off(app.click_event + app.widgets.list[code].ns);
      remove(code);
    }
  });
  return { call: call, load: load, remove: remove };
});
