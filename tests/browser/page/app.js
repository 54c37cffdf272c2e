/* The page's global `APP`: what a widget may read. Writes are recorded and not done; unknown members are recorded. */
define(['jquery', 'notifications'], function ($, notifications) {
  'use strict';

  var harness = window.__harness;
  var boot = JSON.parse(document.getElementById('boot').textContent);
  var AREAS = {
    'leads.card': 'leads_card', 'contacts.card': 'contacts_card', 'companies.card': 'companies_card',
    'leads.list': 'leads', 'contacts.list': 'contacts', 'companies.list': 'companies', 'leads.pipeline': 'leads-pipeline',
    'todo.list': 'todo', 'settings.widgets': 'widgetsSettings'
  };

  var app = {
    lang_id: boot.language,
    click_event: 'click',
    data: { current_card: false, current_view: { $el: $('#page_holder') }, current_list: null, current_entity: '',
      is_card: false },
    widgets: { list: {}, system: {}, loaded: false },
    sdk: {
      setCallingStatus: function (value) { harness.isCalling = Boolean(value); },
      showUserStatus: function (ids) {
        var all = {};
        Object.keys(boot.constants.managers).forEach(function (id) {
          all[id] = { id: Number(id), online: Number(id) === Number(boot.constants.user.id) };
        });
        if (ids === 'online') {
          return Object.keys(all).filter(function (id) { return all[id].online; });
        }
        return ids && ids.length === 1 ? Boolean(all[ids[0]] && all[ids[0]].online) : all;
      }
    },
    notifications: notifications.api,
    addNotificationCallback: function (code, handler) {
      var widget = app.widgets.list[code];
      if (widget && widget.init_once === 'Y') {
        notifications.callbacks[code] = handler;
      }
    },
    constant: function (name) {
      return Object.prototype.hasOwnProperty.call(boot.constants, name) ? boot.constants[name] : false;
    },
    getBaseEntity: function () { return app.screen.entity; },
    isCard: function () { return app.data.is_card; },
    getV3WidgetsArea: function () { return app.screen.v3; },
    getWidgetsArea: function () { return AREAS[app.screen.v3] || app.screen.area; },
    ifvisible: {
      on: function (name, handler) { $(window).on(name + '.ifvisible', handler); }
    },
    router: null,
    screen: { entity: '', v3: '', area: 'dashboard' }
  };

  var phoneNs = '';
  app.widgets.notificationsPhone = function (options) {
    if (!options || !options.ns || typeof options.click !== 'function') {
      return;
    }
    var $place = $('#left_menu .nav__notifications');
    var $icon = $place.find('.calls-list-toggler');
    if (!$icon.length) {
      $icon = $('<div class="calls-list-toggler">☎<span class="js-notifications_call_list_counter"></span></div>');
      $place.append($icon);
    }
    // the last caller's stays bound: telephony widgets fight for it
    $icon.off('click' + phoneNs).on('click' + options.ns, options.click);
    phoneNs = options.ns;
  };
  app.widgets.destroyNotificationsPhone = function (options) {
    if (options && options.ns === phoneNs) {
      $('#left_menu .calls-list-toggler').remove();
      phoneNs = '';
    }
  };

  function guarded(target, path) {
    return new Proxy(target, {
      get: function (object, name) {
        if (typeof name === 'string' && !(name in object) && name !== 'then' && name !== 'toJSON') {
          harness.unknown.push(path + '.' + name);
        }
        return object[name];
      },
      set: function (object, name) {
        harness.writes.push(path + '.' + String(name));
        return true;
      },
      deleteProperty: function (object, name) {
        harness.writes.push('delete ' + path + '.' + String(name));
        return true;
      }
    });
  }
  var shown = guarded(app, 'APP');
  ['APP', 'AMOCRM'].forEach(function (name) {
    Object.defineProperty(window, name, {
      get: function () { return shown; },
      set: function () { harness.writes.push(name); }
    });
  });
  app.boot = boot;
  return app;
});
