/**
 * The widget as amoCRM loads it: a thin shell around lib/app.js, and the only file that touches amoCRM's own objects.
 * What the rest of the code may know of the page is the object that `pageOf` returns.
 *
 * amoCRM sets settings and texts after the constructor ran, repeats `render` at every navigation (init_once), and may
 * call `bind_actions` before `init`: nothing is read in the constructor, and every callback may come twice.
 */
define(['jquery', './lib/app.js'], function ($, createApp) {
  'use strict';

  const ENTITIES = { leads: 'lead', contacts: 'contact', companies: 'company' };
  const CARD_PATH = /^\/(leads|contacts|companies|customers)\/detail\/\d+/;

  function crm() {
    return window.APP || window.AMOCRM || {};
  }

  /** The path of a card, whichever of the account's addresses `url` names; '' for any other page. */
  function cardPath(url) {
    const target = new URL(url, window.location.href);
    return CARD_PATH.test(target.pathname) ? target.pathname : '';
  }

  function answerOf(xhr) {
    let body = xhr && xhr.responseJSON;
    if (!body && xhr && xhr.responseText) {
      try {
        body = JSON.parse(xhr.responseText);
      } catch (error) {
        body = null;
      }
    }
    return { status: (xhr && xhr.status) || 0, body: body || null };
  }

  function pageOf(self) {
    const actions = {};
    const page = {
      settings: function () {
        return self.get_settings() || {};
      },
      text: function (key) {
        return self.i18n(key) || '';
      },
      language: function () {
        return String(crm().lang_id || document.documentElement.lang || '').toLowerCase();
      },
      version: function () {
        return String(self.get_version() || self.get_settings().version || '');
      },
      /** Address of a file of the archive; the version keeps a browser from using an older one. */
      asset: function (path) {
        const params = self.get_settings();
        return (params.cdn_path || params.path) + '/' + path + '?v=' + encodeURIComponent(page.version());
      },
      userId: function () {
        const user = crm().constant ? crm().constant('user') : null;
        return String((user && user.id) || (self.system() || {}).amouser_id || '');
      },
      /** A request with the pass that amoCRM signs: resolves to the body, rejects to {status, body}. */
      request: function (options) {
        return new Promise(function (resolve, reject) {
          self.$authorizedAjax(options).then(
            function (body) {
              resolve(body || {});
            },
            function (xhr) {
              reject(answerOf(xhr));
            }
          );
        });
      },
      /** The saved card that is open, or null. */
      card: function () {
        const app = crm();
        const card = app.data && app.data.current_card;
        const entity = card && app.getBaseEntity ? ENTITIES[app.getBaseEntity()] : '';
        return card && Number(card.id) && entity ? { entity: entity, id: String(card.id) } : null;
      },
      /** Our place in the card's right column: made once per card, found again when `render` repeats. */
      panel: function () {
        const box = '.card-widgets__widget-' + self.get_settings().widget_code;
        let place = document.querySelector(box + ' .crmhub-panel');
        if (!place) {
          self.render_template({
            caption: { class_name: 'crmhub-caption', html: '' },
            body: '<div class="crmhub crmhub-panel"></div>',
            render: ''
          });
          place = document.querySelector(box + ' .crmhub-panel') || document.querySelector('.crmhub-panel');
        }
        return place;
      },
      workArea: function () {
        return document.getElementById('work-area-' + self.get_settings().widget_code);
      },
      /** Opens a card without a reload, so that sockets and calls live on; anything else in a new tab. */
      open: function (url) {
        const path = cardPath(url);
        const router = crm().router;
        if (path && router && router.navigate) {
          router.navigate(path, { trigger: true });
        } else if (path) {
          window.location.assign(path);
        } else {
          window.open(url, '_blank', 'noopener');
        }
      },
      /** Listens on the document in the widget's own name; amoCRM, or `quiet`, takes all of it away at once. */
      listen: function (event, handler) {
        $(document).on(event + self.ns, handler);
      },
      quiet: function () {
        $(document).off(self.ns);
      },
      /** A click on any telephone number of the CRM. amoCRM has no way to take this back, so it is told only once. */
      onPhone: function (handler) {
        const isNew = !actions.phone;
        actions.phone = handler;
        if (isNew) {
          self.add_action('phone', function (clicked) {
            if (actions.phone) {
              actions.phone(String((clicked && clicked.value) || ''));
            }
          });
        }
      },
      offPhone: function () {
        if (actions.phone) {
          actions.phone = function () {};
        }
      }
    };
    return page;
  }

  return function Widget() {
    const self = this;
    let page = null;
    let app = null;

    function running() {
      page = page || pageOf(self);
      app = app || createApp(page);
      return app;
    }

    /** Nothing of ours may break the CRM's page: a mistake ends here, with its trace. */
    function safely(act, otherwise) {
      try {
        const answer = act();
        return answer === undefined ? true : answer;
      } catch (error) {
        console.trace(error);
        return otherwise;
      }
    }

    this.callbacks = {
      render: function () {
        return safely(function () {
          running().render();
        }, true);
      },
      init: function () {
        return safely(function () {
          running().start();
        }, true);
      },
      bind_actions: function () {
        return true;
      },
      settings: function ($modal) {
        return safely(function () {
          running().settings($modal && $modal.get ? $modal.get(0) : $modal);
        }, true);
      },
      advancedSettings: function () {
        return safely(function () {
          running().advanced();
        }, true);
      },
      onSave: function (saved) {
        return safely(function () {
          return running().saved((saved && saved.fields) || {}, Boolean(saved) && saved.active === 'N');
        }, true);
      },
      destroy: function () {
        return safely(function () {
          if (app) {
            app.stop();
          }
          app = null;
        }, true);
      }
    };
    return this;
  };
});
