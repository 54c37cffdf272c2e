/** The messenger's own window (Wazzup) over the page: one opening, gone when it closes. */
define(['./dom.js', './surface.js'], function (dom, surface) {
  'use strict';

  const h = dom.h;

  function open(kit, url) {
    if (!url) {
      return;
    }
    const place = h('div', { class: 'crmhub crmhub-frame' });
    document.body.appendChild(place);
    const root = surface.open(place, kit.page, ['controls.css', 'popup.css']);
    const dialog = h(
      'dialog',
      { class: 'crmhub-dialog', 'aria-label': kit.t('action.write') },
      h(
        'header',
        { class: 'crmhub-dialog__head' },
        h('strong', {}, kit.t('action.write')),
        h(
          'button',
          {
            class: 'crmhub-sign',
            type: 'button',
            'aria-label': kit.t('popup.close'),
            on: {
              click: function () {
                dialog.close();
              }
            }
          },
          dom.icon('close')
        )
      ),
      h('iframe', {
        class: 'crmhub-dialog__frame',
        src: url,
        title: kit.t('action.write'),
        allow: 'microphone; clipboard-write',
        referrerpolicy: 'no-referrer'
      })
    );
    dialog.addEventListener('close', function () {
      place.remove();
    });
    root.appendChild(dialog);
    dialog.showModal();
  }

  /** Nothing stays when the widget goes. */
  function closeAll() {
    document.querySelectorAll('.crmhub-frame').forEach(function (place) {
      place.remove();
    });
  }

  return { open: open, closeAll: closeAll };
});
