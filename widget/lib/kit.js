/** What every part of the widget is given: the page, its words, its memory, the hub, and links that stay in the CRM. */
define(['./dom.js', './strings.js', './format.js', './api.js'], function (dom, createStrings, createFormat, apiModule) {
  'use strict';

  const PREFIX = 'crmhub.';

  /** A store of the browser that may be full, or forbidden: then it remembers nothing. */
  function memoryIn(store) {
    return {
      get: function (key) {
        try {
          return window[store].getItem(PREFIX + key) || '';
        } catch (error) {
          return '';
        }
      },
      set: function (key, value) {
        try {
          window[store].setItem(PREFIX + key, value);
        } catch (error) {
          return false;
        }
        return true;
      },
      remove: function (key) {
        try {
          window[store].removeItem(PREFIX + key);
        } catch (error) {
          return false;
        }
        return true;
      }
    };
  }

  /** `address` is the hub's, '' while nobody told it. */
  function createKit(page, address) {
    const t = createStrings(page);
    let skew = 0;

    /** A link: in the CRM without a reload, elsewhere in a new tab; an address that is none becomes plain text. */
    function link(url, text, className) {
      const href = dom.webAddress(url);
      if (!url || !href) {
        return dom.user(text, className.replace('crmhub-link', ''));
      }
      return dom.h(
        'a',
        {
          class: className,
          href: href,
          target: '_blank',
          rel: 'noopener noreferrer',
          on: {
            click: function (event) {
              if (!event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
                event.preventDefault();
                page.open(href);
              }
            }
          }
        },
        dom.user(text)
      );
    }

    return {
      page: page,
      t: t,
      format: createFormat(t),
      api: apiModule.createApi(page, t, address),
      /** How the manager likes it; no client's data goes in here. */
      memory: memoryIn('localStorage'),
      /** Of this tab only, and gone with it. */
      tabMemory: memoryIn('sessionStorage'),
      link: link,
      /** Milliseconds as the hub counts them: the clock of a manager's computer may be wrong. */
      now: function () {
        return Date.now() + skew;
      },
      skew: function () {
        return skew;
      },
      setSkew: function (milliseconds) {
        skew = Number.isFinite(milliseconds) ? milliseconds : 0;
      }
    };
  }

  return createKit;
});
