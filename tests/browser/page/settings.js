/* The window of a widget's settings: fields by its manifest, Install or Save, switching off (reference 1.10). */
define(['jquery', 'app', 'loader', 'lib/components/base/modal', 'cache'], function ($, app, loader, Modal, cache) {
  'use strict';

  var harness = window.__harness;

  function fieldFor(code, field, value, widget) {
    var $block = $('<div class="widget_settings_block__item_field">');
    var label = widget ? widget.i18n(field.name) || field.name : field.name;
    $block.append($('<div class="widget_settings_block__title_field">').text(label));
    if (field.type === 'users') {
      var values = typeof value === 'string' ? JSON.parse(value || '{}') : value || {};
      Object.keys(app.constant('managers')).forEach(function (id) {
        $block.append($('<input class="text-input">').attr('name', code + '[' + id + ']').val(values[id] || ''));
      });
    } else {
      var kind = field.type === 'pass' ? 'password' : field.type === 'custom' ? 'hidden' : 'text';
      $block.append($('<input class="text-input">').attr({ type: kind, name: code }).val(value || ''));
    }
    return $block;
  }

  function collect($body, fields) {
    var found = {};
    Object.keys(fields).forEach(function (code) {
      if (fields[code].type === 'users') {
        found[code] = {};
        $body.find('input').each(function () {
          var match = new RegExp('^' + code + '\\[(\\d+)\\]$').exec(this.name);
          if (match) { found[code][match[1]] = this.value; }
        });
      } else {
        found[code] = $body.find('[name="' + code + '"]').val();
      }
    });
    return found;
  }

  function open(code) {
    var record = harness.records[code];
    var widget = app.widgets.list[code];
    var manifest = record.manifest;
    var fields = manifest.settings || {};
    var held = widget ? widget.get_settings() : record.settings || {};
    return new Modal({
      class_name: 'widget-settings__modal ' + code,
      init: function ($body) {
        var modal = this;
        var $block = $('<div class="widget_settings_block">').attr('id', 'widget_settings_block_' + code);
        $body.append($('<h2>').text(record.name), $('<div class="widget_settings_block__descr">').html(record.description), $block);
        Object.keys(fields).forEach(function (name) {
          $block.append(fieldFor(name, fields[name], held[name], widget));
        });
        var isInstalled = record.active === 'Y';
        var $controls = $('<div class="widget_settings_block__controls">').appendTo($body);
        $controls.append($('<button type="button" class="button-input button-input_blue">')
          .addClass(isInstalled ? 'js-widget-save' : 'js-widget-install').text(isInstalled ? 'Сохранить' : 'Установить'));
        if (isInstalled) {
          $controls.append('<button type="button" class="button-input js-widget-uninstall">Отключить</button>');
        }
        $controls.on('click', '.js-widget-save, .js-widget-install', function () { harness.saving = save('Y'); });
        $controls.on('click', '.js-widget-uninstall', function () { harness.saving = save('N'); });
        if (widget) { loader.call(widget, 'settings', [$body]); }

        function save(active) {
          var values = collect($body, fields);
          var missing = Object.keys(fields).filter(function (name) { return fields[name].required && !values[name]; });
          if (active === 'Y' && missing.length) {
            return Promise.resolve('missing ' + missing.join(','));
          }
          var allowed = widget ? loader.call(widget, 'onSave', [{ active: active, fields: values }]) : true;
          return Promise.resolve(allowed).then(function (answer) {
            if (!answer && widget && typeof widget.callbacks.onSave === 'function') {
              return 'refused';
            }
            return Promise.resolve($.ajax({ url: '/ajax/widgets/edit', method: 'POST', contentType: 'application/json',
              dataType: 'json', data: JSON.stringify({ code: code, active: active, settings: values }) }))
              .then(cache.forget).then(function () {
                var wasActive = record.active === 'Y';
                record.settings = values;
                record.active = active;
                modal.destroy();
                if (active === 'N') {
                  $(document).trigger('widget:removed', [code]);
                } else if (!wasActive) {
                  $(document).trigger('widget:installed', [code, values]);
                } else {
                  widget.set_settings(values);
                }
                return 'saved';
              });
          }, function () { return 'refused'; });
        }
      }
    });
  }
  return { open: open };
});
