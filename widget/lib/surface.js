/**
 * A place of ours in somebody else's page: a shadow root, so that neither style reaches the other. The colours come
 * from style.css in the document, where only our own class has them; the rest from the files named here. Nothing is
 * seen before its styles are there.
 */
define(['./dom.js'], function (dom) {
  'use strict';

  const PATIENCE_MS = 4000;

  function stylesheet(page, file) {
    return dom.h('link', { rel: 'stylesheet', href: page.asset(file) });
  }

  /** The colours, once in the document; gives what takes them away. */
  function palette(page) {
    const id = 'crmhub-palette';
    if (!document.getElementById(id)) {
      const link = stylesheet(page, 'style.css');
      link.id = id;
      document.head.appendChild(link);
    }
    return function () {
      const link = document.getElementById(id);
      if (link) {
        link.remove();
      }
    };
  }

  /** The root to draw in, under `place`; the same one when `place` has it already. `onReady` when it can be measured. */
  function open(place, page, files, onReady) {
    if (place.shadowRoot) {
      return place.shadowRoot.querySelector('.crmhub-root');
    }
    const shadow = place.attachShadow({ mode: 'open' });
    const root = dom.h('div', { class: 'crmhub-root' });
    let awaited = files.length;
    root.style.visibility = 'hidden';

    function arrived() {
      awaited -= 1;
      if (awaited <= 0) {
        root.style.visibility = '';
        if (onReady) {
          onReady();
        }
      }
    }

    files.forEach(function (file) {
      const link = stylesheet(page, file);
      link.addEventListener('load', arrived);
      link.addEventListener('error', arrived);
      shadow.appendChild(link);
    });
    window.setTimeout(function () {
      root.style.visibility = '';
    }, PATIENCE_MS);
    shadow.appendChild(root);
    return root;
  }

  return { palette: palette, open: open };
});
