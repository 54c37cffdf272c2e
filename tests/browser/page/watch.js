/*
 * Runs before anything else: sees what a widget does to the page, and holds the record for the tests.
 * Nothing here changes how the page behaves.
 */
(function () {
  'use strict';

  var record = {
    calls: [],            // {t, widget, callback, returned}: every callback of every widget, in order
    writes: [],           // members of APP that somebody tried to change
    unknown: [],          // members of APP that do not exist and were read
    scripts: [],          // script elements made by anybody but the module loader
    requests: [],         // {method, url, headers, widget} of every XMLHttpRequest
    notifications: [],    // {method, params}
    actions: {},          // phone / email: what widgets registered
    errors: [],           // uncaught
    listeners: {},        // "window keydown": how many are bound now
    intervals: 0,
    streams: [],          // EventSource objects
    sockets: [],
    sounds: 0,
    clockOffset: Number(window.sessionStorage.getItem('standin:clock') || 0)
  };
  window.__harness = record;
  record.now = function () {
    return Date.now() + record.clockOffset;
  };

  window.addEventListener('error', function (event) {
    record.errors.push(String(event.message));
  });
  window.addEventListener('unhandledrejection', function (event) {
    record.errors.push('unhandled: ' + String(event.reason && event.reason.message || event.reason));
  });

  var makeElement = Document.prototype.createElement;
  record.makeElement = makeElement;
  Document.prototype.createElement = function (name) {
    if (String(name).toLowerCase() === 'script') {
      record.scripts.push(new Error('createElement').stack);
    }
    return makeElement.apply(this, arguments);
  };

  [[window, 'window'], [document, 'document']].forEach(function (pair) {
    var target = pair[0];
    var bound = [];
    var add = target.addEventListener;
    var remove = target.removeEventListener;
    function same(one, type, handler, capture) {
      return one.type === type && one.handler === handler && one.capture === capture;
    }
    function captured(options) {
      return typeof options === 'object' && options ? Boolean(options.capture) : Boolean(options);
    }
    target.addEventListener = function (type, handler, options) {
      var capture = captured(options);
      if (handler && !bound.some(function (one) { return same(one, type, handler, capture); })) {
        bound.push({ type: type, handler: handler, capture: capture, once: Boolean(options && options.once) });
      }
      return add.apply(target, arguments);
    };
    target.removeEventListener = function (type, handler, options) {
      var capture = captured(options);
      bound = bound.filter(function (one) { return !same(one, type, handler, capture); });
      return remove.apply(target, arguments);
    };
    record.listeners[pair[1]] = function () {
      return bound.map(function (one) { return one.type; }).sort();
    };
  });

  var live = new Set();
  var start = window.setInterval;
  var stop = window.clearInterval;
  window.setInterval = function () {
    var id = start.apply(window, arguments);
    live.add(id);
    record.intervals = live.size;
    return id;
  };
  window.clearInterval = function (id) {
    live.delete(id);
    record.intervals = live.size;
    return stop.call(window, id);
  };

  var Stream = window.EventSource;
  window.EventSource = function (url, options) {
    var stream = new Stream(url, options);
    record.streams.push(stream);
    return stream;
  };
  window.EventSource.prototype = Stream.prototype;
  ['CONNECTING', 'OPEN', 'CLOSED'].forEach(function (name) {
    window.EventSource[name] = Stream[name];
  });

  var open = XMLHttpRequest.prototype.open;
  var header = XMLHttpRequest.prototype.setRequestHeader;
  XMLHttpRequest.prototype.open = function (method, url, isAsync) {
    this.__asked = { method: method, url: String(url), headers: {}, isSync: isAsync === false };
    record.requests.push(this.__asked);
    return open.apply(this, arguments);
  };
  XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
    if (this.__asked) {
      this.__asked.headers[name.toLowerCase()] = value;
    }
    return header.apply(this, arguments);
  };

  record.openStreams = function () {
    return record.streams.filter(function (one) { return one.readyState !== 2; }).length;
  };
  /** What must be the same after a widget came and went. */
  record.footprint = function () {
    return {
      window: record.listeners.window(),
      document: record.listeners.document(),
      intervals: record.intervals,
      streams: record.openStreams(),
      body: Array.prototype.map.call(document.body.children, function (one) {
        return one.tagName + '#' + one.id + '.' + one.className;
      }),
      head: document.head.querySelectorAll('style, link').length
    };
  };
  /** How the CRM's own controls look: a widget's styles may not change it. */
  record.look = function () {
    var found = {};
    ['body', '#left_menu', '#left_menu a', '#samples .button-input', '#samples .text-input', '#samples a', '#samples b',
      '#samples h2', '#samples td', '#samples label', '#samples p'].forEach(function (selector) {
      var element = document.querySelector(selector);
      if (element) {
        var style = window.getComputedStyle(element);
        found[selector] = [style.color, style.backgroundColor, style.font, style.padding, style.margin, style.border,
          style.display, style.position, style.width].join(' | ');
      }
    });
    return found;
  };
  /** The controls that look different since the page, or the theme, was set. */
  record.changedLook = function () {
    var now = record.look();
    return Object.keys(record.lookBefore).filter(function (name) {
      return name in now && now[name] !== record.lookBefore[name];
    });
  };
})();
