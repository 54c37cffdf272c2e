/* The system class that every widget inherits from (members as the vendor documents them). */
define(['jquery', 'twigjs', 'app', 'lib/components/base/modal'], function ($, twig, app, Modal) {
  'use strict';

  var harness = window.__harness;
  var TOKEN_LIFE = 25 * 60 * 1000;
  var tokens = {};
  var CONTROLS = {
    textarea: '<textarea name="{{ name }}" id="{{ id }}" class="text-input {{ class_name }}">{{ value }}</textarea>',
    input: '<input type="text" name="{{ name }}" id="{{ id }}" value="{{ value }}" placeholder="{{ placeholder }}" ' +
      'class="text-input {{ class_name }}">',
    button: '<button type="button" class="button-input {{ class_name }}" {{ additional_data }}>{{ text }}</button>',
    cancel_button: '<button type="button" class="button-cancel {{ class_name }}">{{ text }}</button>',
    delete_button: '<button type="button" class="button-delete {{ class_name }}">{{ text }}</button>',
    checkbox: '<label class="control-checkbox {{ class_name }}"><input type="checkbox" name="{{ name }}" ' +
      'value="{{ value }}"{% if checked %} checked{% endif %}>{{ text }}</label>',
    select: '<select name="{{ name }}" id="{{ id }}" class="{{ class_name }}">{% for item in items %}' +
      '<option value="{{ item.id }}"{% if item.id == selected %} selected{% endif %}>{{ item.option }}</option>' +
      '{% endfor %}</select>',
    radio: '{% for item in items %}<label><input type="radio" name="{{ name }}" value="{{ item.id }}">{{ item.option }}' +
      '</label>{% endfor %}',
    date_field: '<input type="text" name="{{ name }}" value="{{ value }}" class="date_field {{ class_name }}">',
    file: '<input type="file" name="{{ name }}" class="{{ class_name }}">'
  };
  CONTROLS.multiselect = CONTROLS.checkboxes_dropdown = CONTROLS.suggest = CONTROLS.select;

  function Widget() { return undefined; }

  Widget.prototype = {
    constructor: Widget,
    _params: {},
    _langs: {},

    system: function () { return app.widgets.system; },
    get_settings: function () { return this._params; },
    set_settings: function (settings) {
      this._params = $.extend({}, this._params, settings);
      this.params = this._params;
    },
    set_lang: function (langs) { this._langs = this.langs = langs; },
    i18n: function (path) {
      return String(path).split('.').reduce(function (tree, key) {
        return tree && typeof tree === 'object' && key in tree ? tree[key] : false;
      }, this._langs);
    },
    get_version: function () { return this._params.version; },
    get_install_status: function () { return this._params.status; },
    set_status: function (status) { this._params.status = status; },

    render: function (data, params) {
      if (data.data !== undefined) {
        return twig.twig({ data: data.data }).render(params || {});
      }
      if (data.ref) {
        var name = data.ref.replace(/^.*\/|\.twig$/g, '');
        return twig.twig({ data: CONTROLS[name] || '' }).render(params || {});
      }
      var url = (data.base_path || '') + data.href + '?v=' + (data.v || this.get_version());
      var asked = $.ajax({ url: url, dataType: 'text' }).then(function (text) { return twig.twig({ data: text }); });
      asked.done(function (template) {
        if (data.load) { data.load(template); }
      });
      return data.promised ? Promise.resolve(asked) : asked;
    },

    /** The standard box in the right column (vendor: card panel). */
    render_template: function (template, data) {
      var code = this._params.widget_code;
      var caption = template.caption || {};
      var $box = $('#widgets_block .card-widgets__widget-' + code);
      if (!$box.length) {
        $box = $('<div class="card-widgets__widget">').addClass('card-widgets__widget-' + code).attr('data-widget-code', code);
        $('#widgets_block .card-widgets__elements').append($box);
      }
      var $caption = $('<div class="js-widget-caption-block card-widgets__widget__caption">').addClass(caption.class_name);
      $caption.append($('<img class="card-widgets__widget__caption__logo" alt="">')
        .attr('src', this._params.images_path + '/logo_medium.png'));
      $caption.append(caption.html || '').append('<span class="card-widgets__widget__caption__arrow"></span>');
      var body = template.body || '';
      if (template.render) {
        body += twig.twig({ data: template.render }).render(data || {});
      }
      var $body = $('<div class="card-widgets__widget__body">').append(body);
      $box.empty().append($caption, $body);
      $caption.on('click', function () {
        $body.toggleClass('js-body-hide');
        $('#widgets_block, #card_holder').toggleClass('js-widgets-active', $body.hasClass('js-body-hide'));
      });
      return $box;
    },

    /** $.ajax with the header X-Auth-Token; one token serves 25 minutes. */
    $authorizedAjax: function (options) {
      var uuid = this._params.oauth_client_uuid;
      var deferred = $.Deferred();
      var held = tokens[uuid];
      var token = held && harness.now() - held.at < TOKEN_LIFE
        ? $.Deferred().resolve(held.token)
        : $.ajax({ url: '/ajax/v2/integrations/' + uuid + '/disposable_token', dataType: 'json' }).then(function (answer) {
          tokens[uuid] = { token: answer.token, at: harness.now() };
          return answer.token;
        });
      token.then(function (value) {
        var headers = $.extend({}, options.headers, { 'X-Auth-Token': value });
        $.ajax($.extend({}, options, { headers: headers })).then(
          function (body, status, xhr) { deferred.resolve(body, status, xhr); },
          function (xhr, status, error) { deferred.reject(xhr, status, error); }
        );
      }, function (xhr, status, error) {
        deferred.reject(xhr, status, error);
      });
      return deferred.promise();
    },
    crm_post: function (url, data, done, type, failed) {
      return $.ajax({ url: '/private/widget/proxy.php', method: 'POST', data: { url: url, data: data },
        dataType: type || 'text' }).then(done, failed);
    },

    add_action: function (type, handler) {
      (harness.actions[type] = harness.actions[type] || []).push({ widget: this._params.widget_code, handler: handler });
    },
    add_source: function (type, handler, label) {
      (harness.actions['source:' + type] = harness.actions['source:' + type] || [])
        .push({ widget: this._params.widget_code, handler: handler, label: label });
    },
    list_selected: function () {
      if (!app.data.current_list) { return false; }
      var selected = app.data.current_list.where({ checked: true }).map(function (row) {
        return { id: row.get('id'), type: row.get('type'), phones: row.get('phones') || [], emails: row.get('emails') || [] };
      });
      return { selected: selected, summary: {
        items: selected.length,
        phones: selected.reduce(function (sum, one) { return sum + one.phones.length; }, 0),
        emails: selected.reduce(function (sum, one) { return sum + one.emails.length; }, 0)
      } };
    },
    get_current_card_contacts_data: function () { return Promise.resolve(app.data.card_contacts || []); },
    get_accounts_current: function () { return { account: app.boot.account }; },
    get_pipeline_id: function () { return Promise.resolve(app.boot.pipeline_id); },
    widgetsOverlay: function (isOn) { $('#page_holder').toggleClass('widgets-overlay', Boolean(isOn)); },
    setSdkCatalogId: function (id) { this._catalog = id; },
    helpers: { Modal: Modal }
  };
  return Widget;
});
