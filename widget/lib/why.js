/** Why: one sentence, and on demand the lines of it (X1), read from the hub once. */
define(['./dom.js'], function (dom) {
  'use strict';

  const h = dom.h;

  function lines(kit, answer) {
    return [
      (answer.lines || []).map(function (line) {
        return h(
          'div',
          { class: 'crmhub-lines' },
          h('p', { class: 'crmhub-label' }, dom.user(line.title)),
          h(
            'ul',
            {},
            (line.items || []).map(function (item) {
              return h('li', { 'data-tone': item.tone || 'plain' }, dom.user(item.text));
            })
          )
        );
      }),
      answer.link ? kit.link(absolute(kit, answer.link), kit.t('card.in_console'), 'crmhub-link') : null
    ];
  }

  function absolute(kit, link) {
    return new URL(link, kit.api.address + '/').href;
  }

  /** `summary` is what one clicks; the lines of interaction `id` come below it. */
  function disclosure(kit, id, summary, className) {
    const body = h('div', { class: 'crmhub-why__lines', role: 'status' });
    let isRead = false;
    const details = h('details', { class: className }, summary, body);
    details.addEventListener('toggle', function () {
      if (!details.open || isRead) {
        return;
      }
      isRead = true;
      dom.fill(body, h('p', { class: 'crmhub-faint' }, kit.t('card.loading')));
      kit.api.get('/interactions/' + encodeURIComponent(id) + '/why').then(
        function (answer) {
          dom.fill(body, lines(kit, answer));
        },
        function (error) {
          isRead = false;
          dom.fill(body, h('p', { class: 'crmhub-note', 'data-tone': 'bad' }, error.message));
        }
      );
    });
    return details;
  }

  return { disclosure: disclosure };
});
