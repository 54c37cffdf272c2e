/* The AMD loader as the page configures it: system modules by their ids, the plugins json! and optional!. */
(function () {
  'use strict';

  requirejs.config({
    baseUrl: '/_page',
    waitSeconds: 30,
    paths: {
      jquery: '/_lib/jquery',
      underscore: '/_lib/underscore',
      backbone: '/_lib/backbone',
      twigjs: '/_lib/twig',
      moment: '/_lib/moment',
      pubsub: '/_lib/pubsub',
      store: '/_lib/store'
    },
    shim: { backbone: { deps: ['underscore', 'jquery'], exports: 'Backbone' } }
  });
  // the loader's own elements are no widget's doing
  requirejs.createNode = function () {
    var node = window.__harness.makeElement.call(document, 'script');
    node.type = 'text/javascript';
    node.charset = 'utf-8';
    node.async = true;
    return node;
  };

  define('json', {
    load: function (name, require, onload) {
      require(['jquery'], function ($) {
        $.ajax({ url: require.toUrl(name), dataType: 'json' }).then(onload, function () {
          onload.error(new Error('cannot load ' + name));
        });
      });
    },
    normalize: function (name, normalize) {
      return normalize(name);
    }
  });
  define('text', {
    load: function (name, require, onload) {
      require(['jquery'], function ($) {
        $.ajax({ url: require.toUrl(name), dataType: 'text' }).then(onload, function () {
          onload.error(new Error('cannot load ' + name));
        });
      });
    }
  });
  // loads, and gives undefined where it cannot
  define('optional', {
    load: function (name, require, onload) {
      require([name], onload, function (error) {
        window.__harness.calls.push({ t: Date.now(), widget: name, callback: 'load failed', returned: String(error) });
        if (error.requireModules) {
          error.requireModules.forEach(function (id) {
            requirejs.undef(id);
          });
        }
        onload();
      });
    },
    normalize: function (name, normalize) {
      return normalize(name);
    }
  });
})();
