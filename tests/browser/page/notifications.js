/* `APP.notifications`: everything is recorded; what pops up is drawn into `.popup-inbox`, markup and all, as the page does. */
define(['jquery'], function ($) {
  'use strict';

  var harness = window.__harness;
  var callbacks = {};
  var number = 0;

  function record(method, params) {
    harness.notifications.push({ method: method, params: JSON.parse(JSON.stringify(params || {})) });
  }
  function draw(header, html, kind) {
    number += 1;
    var $item = $('<div class="notification__item notification-inner">').attr('data-id', number).addClass(kind);
    $('.popup-inbox').append($item.append($('<b>').html(header || ''), $('<div>').html(html || '')));
    Object.keys(callbacks).forEach(function (code) {
      callbacks[code]({ id: number, entity: null, is_read: false, body: { title: { call: kind, value: header }, rows: [] } });
    });
  }
  var api = {
    add_call: function (params) {
      record('add_call', params);
      if (params && params.text) {
        draw(params.header || params.from, params.text, 'notification-call');
      }
    },
    show_message: function (params) {
      record('show_message', params);
      if (params && params.header && params.text) { draw(params.header, params.text, 'notification-message'); }
    },
    show_message_error: function (params) {
      record('show_message_error', params);
      if (params && params.header && params.text) { draw(params.header, params.text, 'notification-error'); }
    },
    show_notification: function (params) {
      record('show_notification', params);
      if (params && params.text) { draw(params.text.header, params.text.text, 'notification-' + (params.type || 'call')); }
    },
    add_error: function (params, handlers) {
      record('add_error', params);
      draw(params.header, params.text, 'notification-error');
      if (handlers && handlers.done) { handlers.done(); }
      if (handlers && handlers.always) { handlers.always(); }
    }
  };
  return { api: api, callbacks: callbacks };
});
