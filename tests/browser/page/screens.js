/* The screens, and moving between them without a reload: each move ends with `widgets:load`. */
define(['jquery', 'backbone', 'app'], function ($, Backbone, app) {
  'use strict';

  var harness = window.__harness;
  var TYPES = { contacts: 1, leads: 2, companies: 3 };
  var SCREENS = [
    { path: /^\/(leads|contacts|companies)\/detail\/(\d+)/, area: { leads: 'lcard', contacts: 'ccard', companies: 'comcard' } },
    { path: /^\/(contacts)\/add/, area: { contacts: 'ccard' } },
    { path: /^\/leads\/list/, v3: 'leads.list', area: 'llist', entity: 'leads' },
    { path: /^\/leads\/pipeline/, v3: 'leads.pipeline', area: '', entity: 'leads' },
    { path: /^\/contacts\/list/, v3: 'contacts.list', area: 'clist', entity: 'contacts' },
    { path: /^\/companies\/list/, v3: 'companies.list', area: 'clist', entity: 'companies' },
    { path: /^\/settings\/widgets/, v3: 'settings.widgets', area: 'settings', entity: 'widgetsSettings' },
    { path: /^\/advanced_settings\/([^/]+)/, v3: 'widget.advanced_settings', area: 'advanced_settings', entity: '' },
    { path: /^\/widget_page\/([^/]+)/, v3: 'widget.widget_page', area: 'widget_page', entity: '' },
    { path: /^\/todo/, v3: 'todo.list', area: 'tlist', entity: 'todo' },
    { path: /^\//, v3: '', area: 'dashboard', entity: 'dashboard' }
  ];

  function field(record, code) {
    var found = (record.custom_fields_values || []).filter(function (one) { return one.field_code === code; })[0];
    return found ? found.values.map(function (one) { return one.value; }) : [];
  }
  function fetchJson(path) {
    return Promise.resolve($.ajax({ url: path, dataType: 'json' })).then(function (body) { return body || null; },
      function () { return null; });
  }

  function phoneButton(value, model) {
    var $button = $('<button type="button" class="js-phone">').text(value);
    $button.on('click', function (event) {
      event.stopPropagation();
      harness.clickPhone(value, model, $button);
    });
    return $button;
  }
  harness.clickPhone = function (value, model, $near) {
    $('.tips').remove();
    var actions = harness.actions.phone || [];
    if (actions.length === 1) {
      actions[0].handler({ value: value, model: model });
    } else if (actions.length > 1) {
      var $menu = $('<div class="tips">').appendTo('body');
      actions.forEach(function (one) {
        var widget = app.widgets.list[one.widget];
        $('<span class="tips__item">').text(widget.i18n('widget.call_action') || one.widget).appendTo($menu)
          .on('click', function () {
            $menu.remove();
            one.handler({ value: value, model: model });
          });
      });
      if ($near) { $menu.css($near.offset()); }
    }
    return actions.length;
  };

  function row(name, value) {
    return $('<div class="linked-form__field">').append($('<b>').text(name), $('<span>').append(value));
  }

  function card(entity, id) {
    var isNew = !id;
    var asked = isNew ? Promise.resolve({ id: 0, name: '' })
      : fetchJson('/api/v4/' + entity + '/' + id + '?with=contacts,leads');
    return asked.then(function (record) {
      record = record || { id: Number(id), name: '?' };
      var linked = ((record._embedded || {}).contacts || []).map(function (one) { return one.id; });
      var people = entity === 'contacts' ? Promise.resolve([record])
        : Promise.all(linked.map(function (one) { return fetchJson('/api/v4/contacts/' + one); }));
      return people.then(function (contacts) {
        var $holder = $('<div id="card_holder" class="card-holder">');
        var model = new Backbone.Model({ ID: record.id, ELEMENT_TYPE: TYPES[entity], 'contact[NAME]': record.name });
        $holder.append($('<h2>').text(record.name || ''));
        app.data.card_contacts = contacts.filter(Boolean).map(function (one) {
          return { id: one.id, name: one.name, first_name: one.first_name || '', last_name: one.last_name || '',
            phones: field(one, 'PHONE'), emails: field(one, 'EMAIL') };
        });
        app.data.card_contacts.concat(entity === 'companies' ? [{ name: '', phones: field(record, 'PHONE') }] : [])
          .forEach(function (one) {
            if (entity !== 'contacts' && one.name) { $holder.append(row('Контакт', document.createTextNode(one.name))); }
            one.phones.forEach(function (phone) { $holder.append(row('Телефон', phoneButton(phone, model))); });
          });
        $holder.append(row('Бюджет', $('<input class="text-input">').val(record.price || '')));
        $holder.append($('<button type="button" class="button-input button-input_blue">').text('Сохранить'));
        var $widgets = $('<div id="widgets_block"><div class="card-widgets__top">Виджеты</div>' +
          '<div id="nano-card-widgets"><div class="card-widgets__elements"></div></div></div>');
        $('#page_holder').empty().append($holder, $('<div class="feed">').text('…'), $widgets);
        app.data.current_card = { id: record.id, model: model, $el: $holder, new_card: isNew,
          linked_forms: { form_models: new Backbone.Collection() } };
        app.data.is_card = true;
        app.data.current_entity = entity;
      });
    });
  }

  function list(entity) {
    return fetchJson('/api/v4/' + entity + '?limit=20').then(function (answer) {
      var rows = ((answer || {})._embedded || {})[entity] || [];
      var $table = $('<table id="list_table">');
      app.data.current_list = new Backbone.Collection(rows.map(function (one) {
        return { id: one.id, name: one.name, type: entity.replace(/ies$/, 'y').replace(/s$/, ''), checked: false,
          phones: field(one, 'PHONE'), emails: field(one, 'EMAIL') };
      }));
      app.data.current_list.each(function (one) {
        var $phones = $('<td>');
        one.get('phones').forEach(function (phone) { $phones.append(phoneButton(phone)); });
        $table.append($('<tr>').append($('<td>').text(one.get('name')), $phones));
      });
      $('#page_holder').empty().append($('<div class="list">').append($table));
    });
  }

  function show(path) {
    var screen = SCREENS.filter(function (one) { return one.path.test(path); })[0];
    var parts = screen.path.exec(path);
    app.data.current_card = false;
    app.data.is_card = false;
    app.data.current_list = null;
    app.data.card_contacts = [];
    $('.tips').remove();
    if (typeof screen.area === 'object') {
      app.screen = { entity: parts[1], v3: parts[1] + '.card', area: screen.area[parts[1]] };
      return harness.noCard ? Promise.resolve($('#page_holder').empty()) : card(parts[1], parts[2]);
    }
    app.screen = { entity: screen.entity, v3: screen.v3, area: screen.area, code: parts[1] };
    if (/list$/.test(screen.v3) && screen.entity !== 'todo') {
      return list(screen.entity);
    }
    var $page = $('<div class="work-area">');
    if (screen.area === 'advanced_settings' || screen.area === 'widget_page') {
      $page = $('<div style="flex:1">').append('<div class="list__body-right__top">',
        $('<div class="work-area">').attr('id', 'work-area-' + parts[1]));
    } else {
      $page.append($('<h2>').text(path), $('<button type="button" class="button-input">').text('Действие'),
        $('<input class="text-input">'));
    }
    $('#page_holder').empty().append($page);
    return Promise.resolve();
  }

  function go(path) {
    var before = harness.loads || 0;
    return show(path).then(function () {
      $(document).trigger('widgets:load');
      return new Promise(function (resolve) {
        (function wait() {
          // free users and the payment page load nothing
          if ((harness.loads || 0) > before || harness.loadsNothing) { resolve(); } else { window.setTimeout(wait, 5); }
        })();
      });
    });
  }

  var router = {
    navigate: function (path, options) {
      window.history.pushState({}, '', path);
      if (options && options.trigger) {
        harness.moving = go(path);
      }
    }
  };
  app.router = router;
  $(document).on('click', '#nav_menu a', function (event) {
    event.preventDefault();
    router.navigate($(this).attr('href'), { trigger: true });
  });
  $(window).on('popstate', function () { go(window.location.pathname); });
  return { router: router, go: go };
});
