/** The history of a client: calls with their recordings and legs, chats, messages and forms, by day. */
define(['./dom.js', './player.js', './why.js'], function (dom, player, why) {
  'use strict';

  const h = dom.h;
  const LONG = 280;
  const LINES = 6;
  const SIGNS = { chat: 'chat', message: 'message', form: 'form', record: 'record' };

  function signOf(item) {
    if (item.kind === 'call') {
      return item.tone === 'bad' ? 'missed' : item.direction === 'outbound' ? 'outgoing' : 'incoming';
    }
    return SIGNS[item.kind] || 'record';
  }

  function said(kit, text) {
    const isLong = text.length > LONG || text.split('\n').length > LINES;
    const words = dom.whole(text, isLong ? 'crmhub-clamp5' : '');
    const box = h('div', { class: 'crmhub-said' }, words);
    if (!isLong) {
      return box;
    }
    const more = h(
      'button',
      {
        class: 'crmhub-text-button',
        type: 'button',
        'aria-expanded': 'false',
        on: {
          click: function () {
            const isCut = words.classList.toggle('crmhub-clamp5');
            more.setAttribute('aria-expanded', String(!isCut));
            more.textContent = kit.t(isCut ? 'history.more_text' : 'history.less_text');
          }
        }
      },
      kit.t('history.more_text')
    );
    return [box, more];
  }

  function leg(kit, each, isHeard) {
    const name = nameOf(each.who) || each.place || kit.t('history.nobody');
    return h(
      'li',
      { class: 'crmhub-leg', 'data-tone': each.is_answered ? 'good' : 'bad' },
      h(
        'p',
        {},
        h('span', { class: 'crmhub-dot' }),
        h(
          'span',
          { class: 'crmhub-leg__who' },
          dom.user(name),
          each.place && each.place !== name ? [' · ', dom.user(each.place, 'crmhub-faint')] : null
        ),
        h(
          'span',
          { class: 'crmhub-faint crmhub-push' },
          each.is_answered ? kit.format.duration(each.seconds) : kit.t('history.not_answered')
        )
      ),
      each.recording && !isHeard ? player(kit, each.recording, each.seconds) : null
    );
  }

  /** An employee as an object, or only a name. */
  function nameOf(who) {
    return typeof who === 'string' ? who : (who && who.name) || '';
  }

  function legs(kit, item) {
    if (!item.legs || !item.legs.length) {
      return null;
    }
    return h(
      'details',
      { class: 'crmhub-legs' },
      h('summary', {}, kit.t.count('history.legs', item.legs.length)),
      h(
        'ol',
        {},
        item.legs.map(function (each) {
          return leg(kit, each, each.recording === item.recording);
        })
      )
    );
  }

  function one(kit, item) {
    const result = item.result ? kit.t('history.result_' + item.result) : '';
    const meta = [
      kit.format.time(item.at),
      result && dom.user(result, 'crmhub-result'),
      item.seconds ? kit.format.duration(item.seconds) : null,
      item.who ? dom.user(nameOf(item.who)) : null
    ].filter(Boolean);
    return h(
      'li',
      { class: 'crmhub-event', 'data-tone': item.tone || 'plain', 'data-kind': item.kind, 'data-id': item.id },
      h('span', { class: 'crmhub-event__sign' }, dom.icon(signOf(item))),
      h(
        'div',
        { class: 'crmhub-event__body' },
        h('p', { class: 'crmhub-event__title' }, dom.user(item.title || kit.t('history.' + item.kind), 'crmhub-clamp5')),
        h(
          'p',
          { class: 'crmhub-event__meta' },
          h(
            'span',
            {},
            meta.map(function (part) {
              return h('span', {}, part);
            })
          )
        ),
        item.text ? said(kit, item.text) : null,
        item.recording ? player(kit, item.recording, item.seconds) : null,
        legs(kit, item),
        item.why
          ? why.disclosure(kit, item.id, h('summary', {}, h('span', {}, kit.t('card.why')), ' ', dom.user(item.why)), 'crmhub-because')
          : null
      )
    );
  }

  /** The list, by day, the newest first; `more()` resolves when the older ones are there. */
  function list(kit, items, hasMore, more) {
    const days = [];
    items.forEach(function (item) {
      const day = kit.format.day(item.at);
      if (!days.length || days[days.length - 1].day !== day) {
        days.push({ day: day, items: [] });
      }
      days[days.length - 1].items.push(item);
    });
    return h(
      'div',
      { class: 'crmhub-history' },
      days.map(function (group) {
        return [
          h('h4', { class: 'crmhub-day' }, group.day),
          h(
            'ol',
            { class: 'crmhub-events' },
            group.items.map(function (item) {
              return one(kit, item);
            })
          )
        ];
      }),
      hasMore ? moreButton(kit, more) : null
    );
  }

  function moreButton(kit, more) {
    const button = h(
      'button',
      {
        class: 'crmhub-button crmhub-button_wide',
        type: 'button',
        on: {
          click: function () {
            button.disabled = true;
            button.textContent = kit.t('card.loading');
            more().catch(function (error) {
              button.disabled = false;
              button.textContent = error.message;
            });
          }
        }
      },
      kit.t('history.load_more')
    );
    return button;
  }

  return { list: list };
});
