/** One popup: who it is, what it is about, why it came here, and what to do. Drawn whole, or as a line in the pile. */
define(['./dom.js'], function (dom) {
  'use strict';

  const h = dom.h;
  const SIGNS = { call: 'phone', chat: 'chat', message: 'message', form: 'form', record: 'record' };

  /** "Incoming call", "Answered by Olena", "New message" ... */
  function stateText(t, popup) {
    if (popup.kind !== 'call') {
      return t('popup.new_' + popup.kind);
    }
    if (popup.state === 'answered') {
      return popup.answered_by
        ? t('popup.answered_by', { name: dom.spoken(popup.answered_by.name) })
        : t('popup.answered');
    }
    if (popup.state === 'ringing') {
      return t(popup.direction === 'outbound' ? 'popup.calling' : 'popup.ringing');
    }
    return t('popup.' + popup.state);
  }

  function nameOf(popup) {
    const client = popup.client || {};
    return client.name || (popup.contact && popup.contact.name) || '';
  }

  /** What a screen reader says when the popup comes or changes. */
  function announcement(kit, popup) {
    const who = nameOf(popup) || kit.format.phone((popup.client || {}).phone) || kit.t('popup.unknown');
    return stateText(kit.t, popup) + ': ' + dom.spoken(who) + (popup.text ? '. ' + dom.spoken(popup.text) : '');
  }

  /** The page of a site as people read it: host and path, without what follows. */
  function pagePath(url) {
    const text = String(url || '');
    try {
      const parsed = new URL(text);
      return parsed.host + (parsed.pathname === '/' ? '' : decodeURI(parsed.pathname));
    } catch (error) {
      return text;
    }
  }

  function fact(label, content) {
    return content ? [h('dt', {}, label), h('dd', {}, content)] : null;
  }

  function person(kit, who) {
    if (!who) {
      return null;
    }
    return [dom.user(who.name, 'crmhub-clamp'), who.is_me ? h('span', { class: 'crmhub-me' }, kit.t('card.me')) : null];
  }

  function facts(kit, popup) {
    const t = kit.t;
    const site = popup.site || {};
    const last = popup.last_contact;
    const deal = popup.deal;
    const lastText = last ? [kit.format.moment(last.at), last.kind && t('history.' + last.kind)].filter(Boolean).join(' · ') : '';
    const rows = [
      fact(
        t('popup.deal'),
        deal && [
          kit.link(deal.url, deal.name || t('popup.deal'), 'crmhub-link crmhub-clamp'),
          deal.stage ? dom.user(deal.stage, 'crmhub-tag') : null
        ]
      ),
      fact(t('popup.source'), popup.source && dom.user(popup.source, 'crmhub-clamp')),
      fact(
        t('popup.page'),
        site.page && [
          dom.user(pagePath(site.page), 'crmhub-clamp'),
          site.visits ? h('span', { class: 'crmhub-faint' }, t.count('popup.visits', Number(site.visits))) : null
        ]
      ),
      fact(
        t('popup.last'),
        last && h('span', {}, lastText, last.who ? [' · ', dom.user(personName(last.who))] : null)
      ),
      fact(t('popup.responsible'), person(kit, popup.responsible))
    ].filter(Boolean);
    return rows.length ? h('dl', { class: 'crmhub-facts' }, rows) : null;
  }

  function personName(who) {
    return typeof who === 'string' ? who : (who && who.name) || '';
  }

  /** Seconds of the talk so far, or null when nobody talks. */
  function secondsOf(kit, popup) {
    if (popup.state === 'talking' && popup.answered_at) {
      return Math.max(0, (kit.now() - Date.parse(popup.answered_at)) / 1000);
    }
    return popup.seconds !== undefined && popup.seconds !== null && popup.state === 'ended' ? popup.seconds : null;
  }

  function signButton(name, label, press) {
    return h(
      'button',
      { class: 'crmhub-sign', type: 'button', 'data-act': name, 'aria-label': label, title: label, on: { click: press } },
      dom.icon(name)
    );
  }

  /**
   * `handlers`: {close, expand, minimise, done} are what its buttons call. Gives {element, update, tick, isBusy}.
   */
  function createView(kit, actions, handlers) {
    const t = kit.t;
    const label = 'crmhub-popup-' + Math.random().toString(36).slice(2);
    const element = h('section', { class: 'crmhub-popup', tabindex: '-1' });
    let bar = null;
    let barIs = '';
    let timer = null;
    let popup = null;

    function barOf() {
      const what = JSON.stringify([popup.client, popup.can, popup.contact, popup.deal, popup.interaction]);
      if (!bar || (what !== barIs && !bar.isBusy())) {
        const card = (popup.deal && popup.deal.url) || (popup.contact && popup.contact.url) || '';
        bar = actions.bar(
          {
            client: popup.client || {},
            can: popup.can,
            interaction: popup.interaction,
            contact: popup.contact,
            deal: popup.deal,
            phones: popup.client && popup.client.phone ? [popup.client.phone] : [],
            openUrl: card
          },
          function (done) {
            handlers.done(popup.key, done);
          },
          bar && bar.note
        );
        barIs = what;
      }
      return bar.element;
    }

    function head(isWhole, isFirst) {
      const client = popup.client || {};
      const name = nameOf(popup);
      const phone = kit.format.phone(client.phone);
      const seconds = secondsOf(kit, popup);
      timer = h('span', { class: 'crmhub-timer' }, seconds === null ? '' : kit.format.duration(seconds));
      const sub = [
        name && phone ? dom.number(phone, 'crmhub-phone') : null,
        popup.company ? dom.user(popup.company, 'crmhub-clamp1') : null
      ].filter(Boolean);
      return h(
        'header',
        { class: 'crmhub-popup__head', 'data-grip': true },
        h('span', { class: 'crmhub-badge' }, dom.icon(popup.state === 'missed' ? 'missed' : SIGNS[popup.kind] || 'record')),
        h(
          'div',
          { class: 'crmhub-popup__who' },
          h(
            'p',
            { class: 'crmhub-popup__state', id: label + '-state' },
            h('span', { class: 'crmhub-clamp1' }, stateText(t, popup)),
            timer,
            popup.channel ? dom.user(popup.channel, 'crmhub-channel crmhub-clamp1') : null
          ),
          h(
            'h2',
            { class: 'crmhub-popup__name', id: label + '-name' },
            name
              ? dom.user(name, isWhole ? 'crmhub-clamp' : 'crmhub-clamp1')
              : dom.number(phone || t('popup.unknown'))
          ),
          isWhole && (sub.length || !client.is_known)
            ? h(
                'p',
                { class: 'crmhub-popup__sub' },
                sub.length === 2 ? [sub[0], h('span', { class: 'crmhub-dot' }), sub[1]] : sub,
                client.is_known ? null : h('span', { class: 'crmhub-tag crmhub-tag_new' }, t('popup.new_client'))
              )
            : null
        ),
        h(
          'div',
          { class: 'crmhub-popup__signs' },
          isWhole
            ? null
            : signButton('down', t('popup.expand'), function () {
                handlers.expand(popup.key);
              }),
          isFirst ? signButton('minimise', t('popup.minimise'), handlers.minimise) : null,
          signButton('close', t('popup.close'), function () {
            handlers.close(popup.key);
          })
        )
      );
    }

    function update(next, isWhole, isFirst) {
      const focused = element.getRootNode().activeElement;
      const act = focused && element.contains(focused) ? focused.getAttribute('data-act') : null;
      const inBar = bar && focused && bar.element.contains(focused) ? focused : null;
      popup = next;
      element.setAttribute('data-key', popup.key);
      element.setAttribute('data-state', popup.state);
      element.setAttribute('data-kind', popup.kind);
      element.classList.toggle('crmhub-popup_line', !isWhole);
      element.setAttribute('role', popup.state === 'ringing' ? 'alertdialog' : 'group');
      element.setAttribute('aria-labelledby', label + '-state ' + label + '-name');
      dom.fill(
        element,
        head(isWhole, isFirst),
        isWhole
          ? [
              popup.text ? h('blockquote', { class: 'crmhub-said' }, dom.user(popup.text, 'crmhub-clamp5')) : null,
              facts(kit, popup),
              popup.why ? h('p', { class: 'crmhub-why' }, dom.icon('info'), dom.user(popup.why, 'crmhub-clamp')) : null,
              barOf()
            ]
          : null
      );
      const again = inBar || (act && element.querySelector('[data-act="' + act + '"]'));
      if (again && element.contains(again)) {
        again.focus();
      } else if (act) {
        element.focus();
      }
    }

    element.addEventListener('keydown', function (event) {
      if (event.key === 'Escape') {
        event.stopPropagation();
        handlers.close(popup.key);
      }
    });

    return {
      element: element,
      update: update,
      /** The seconds of a talk pass. */
      tick: function () {
        const seconds = popup && secondsOf(kit, popup);
        if (popup && popup.state === 'talking' && seconds !== null && timer) {
          timer.textContent = kit.format.duration(seconds);
        }
      },
      isBusy: function () {
        return Boolean(bar && bar.isBusy());
      }
    };
  }

  return { createView: createView, announcement: announcement };
});
