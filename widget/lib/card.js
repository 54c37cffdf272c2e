/**
 * The card panel: who the client is to the hub, who is responsible and why, what is open, what has been.
 *
 * Each part is redrawn only when it changed and nobody is in the middle of something in it. A hub that is down leaves
 * what was read, with one quiet line; it is asked again in the background, less and less often.
 */
define(['./dom.js', './surface.js', './history.js', './tasks.js', './why.js', './player.js'], function (
  dom, surface, history, tasks, why, player
) {
  'use strict';

  const h = dom.h;
  const PAUSES_MS = [3000, 6000, 12000, 30000, 60000];
  const BUSY_MS = 4000;
  const SETTLE_MS = 400;

  return function createCard(kit, actions) {
    const t = kit.t;
    let place = null;
    let root = null;
    let line = null;
    let parts = {};
    let shown = null;
    let card = null;
    let older = [];
    let cursor = null;
    let turn = 0;
    let failures = 0;
    let timer = 0;
    let later = 0;
    let readAt = '';

    // --- parts ------------------------------------------------------------------------------------------------

    function person(who) {
      return who
        ? [dom.user(who.name, 'crmhub-clamp'), who.is_me ? h('span', { class: 'crmhub-me' }, t('card.me')) : null]
        : h('span', { class: 'crmhub-faint' }, t('card.nobody'));
    }

    function head(data) {
      const client = data.client;
      const first = (data.responsible && dom.spoken(data.responsible.name).slice(0, 1)) || '–';
      const summary = h('summary', {}, dom.user(data.why || t('card.why_unknown')));
      return [
        client.name || client.phones.length + client.emails.length
          ? h(
              'div',
              { class: 'crmhub-client' },
              h('p', { class: 'crmhub-client__name' }, dom.user(client.name || t('popup.unknown'), 'crmhub-clamp')),
              h(
                'p',
                { class: 'crmhub-client__reach' },
                client.phones.slice(0, 3).map(function (phone) {
                  return dom.number(kit.format.phone(phone));
                }),
                client.emails.slice(0, 2).map(function (email) {
                  return dom.user(email, 'crmhub-clamp1');
                })
              )
            )
          : null,
        h(
          'div',
          { class: 'crmhub-owner' },
          h('span', { class: 'crmhub-face', 'aria-hidden': 'true' }, first.toUpperCase()),
          h(
            'div',
            {},
            h('p', { class: 'crmhub-label' }, t('card.responsible')),
            h('p', { class: 'crmhub-owner__name' }, person(data.responsible))
          )
        ),
        data.why && data.why_interaction
          ? why.disclosure(kit, data.why_interaction, summary, 'crmhub-because crmhub-because_main')
          : data.why
            ? h('p', { class: 'crmhub-because crmhub-because_main' }, dom.user(data.why, 'crmhub-clamp5'))
            : null
      ];
    }

    function bar(data) {
      if (!(data.can || []).length) {
        return null;
      }
      const open = (data.deals || []).find(function (deal) {
        return deal.is_open;
      });
      const made = actions.bar(
        { client: data.client, can: data.can, contact: true, deal: open || null, phones: data.client.phones },
        function () {
          window.setTimeout(refresh, SETTLE_MS);
        },
        parts.bar.note
      );
      parts.bar.isBusy = made.isBusy;
      parts.bar.note = made.note;
      return made.element;
    }

    function section(name, count, content, isOpen) {
      const key = 'open.' + name;
      const remembered = kit.memory.get(key);
      const details = h(
        'details',
        { class: 'crmhub-section', open: remembered ? remembered === 'yes' : isOpen },
        h(
          'summary',
          {},
          h('h3', {}, t('card.' + name)),
          count ? h('span', { class: 'crmhub-count' }, String(count)) : null
        ),
        content
      );
      details.addEventListener('toggle', function () {
        kit.memory.set(key, details.open ? 'yes' : 'no');
      });
      return details;
    }

    function taskPart(data) {
      return data.tasks.length
        ? section('tasks', data.tasks.length, tasks.list(kit, actions, data.tasks, function () {
            window.setTimeout(refresh, SETTLE_MS);
          }), true)
        : null;
    }

    function items(data) {
      const known = {};
      return data.interactions.concat(older).filter(function (item) {
        const isNew = !known[item.id];
        known[item.id] = true;
        return isNew;
      });
    }

    function historyPart(data) {
      const all = items(data);
      return section(
        'history',
        0,
        all.length
          ? history.list(kit, all, Boolean(cursor), loadMore)
          : h('p', { class: 'crmhub-faint' }, t('card.no_history')),
        true
      );
    }

    function dealPart(data) {
      return data.deals.length
        ? section(
            'deals',
            data.deals.length,
            h(
              'ul',
              { class: 'crmhub-deals' },
              data.deals.map(function (deal) {
                return h(
                  'li',
                  { class: deal.is_open ? 'crmhub-deal' : 'crmhub-deal crmhub-deal_closed' },
                  kit.link(deal.url, deal.name || t('card.nameless_deal'), 'crmhub-link crmhub-clamp'),
                  h(
                    'p',
                    { class: 'crmhub-event__meta' },
                    h(
                      'span',
                      {},
                      [
                        dom.user([deal.pipeline, deal.stage].filter(Boolean).join(': '), 'crmhub-stage'),
                        deal.price && kit.format.amount(deal.price),
                        deal.responsible && dom.user(deal.responsible.name || deal.responsible)
                      ]
                        .filter(Boolean)
                        .map(function (part) {
                          return h('span', {}, part);
                        })
                    )
                  )
                );
              })
            ),
            data.deals.length <= 4
          )
        : null;
    }

    function duplicatePart(data) {
      return data.duplicates.length
        ? section(
            'duplicates',
            data.duplicates.length,
            h(
              'ul',
              { class: 'crmhub-deals' },
              data.duplicates.map(function (each) {
                return h(
                  'li',
                  { class: 'crmhub-deal' },
                  kit.link(each.url, each.name || each.id, 'crmhub-link crmhub-clamp'),
                  h('p', { class: 'crmhub-faint' }, dom.user(each.why || ''))
                );
              })
            ),
            true
          )
        : null;
    }

    function sourcePart(data) {
      const told = data.attribution || {};
      const rows = ['source', 'medium', 'campaign', 'keyword', 'page'].filter(function (name) {
        return told[name];
      });
      return rows.length
        ? section(
            'source',
            0,
            h(
              'dl',
              { class: 'crmhub-facts' },
              rows.map(function (name) {
                return [h('dt', {}, t('card.' + name + '_of')), h('dd', {}, dom.user(told[name], 'crmhub-clamp'))];
              }),
              told.first_at ? [h('dt', {}, t('card.first_of')), h('dd', {}, kit.format.moment(told.first_at))] : null
            ),
            false
          )
        : null;
    }

    // --- drawing ----------------------------------------------------------------------------------------------

    const DRAWN = {
      head: [head, ['client', 'responsible', 'why', 'why_interaction']],
      bar: [bar, ['client', 'can', 'deals']],
      tasks: [taskPart, ['tasks']],
      history: [historyPart, ['interactions', 'before', 'older']],
      deals: [dealPart, ['deals']],
      duplicates: [duplicatePart, ['duplicates']],
      source: [sourcePart, ['attribution']]
    };

    function isBusy(part) {
      return Boolean(part.element.querySelector('[data-busy]')) || (part.isBusy && part.isBusy());
    }

    function focusedIn(element) {
      const focused = element.getRootNode().activeElement;
      return focused && element.contains(focused) ? focused.getAttribute('data-act') || 'summary' : '';
    }

    function redraw(name, data) {
      const part = parts[name];
      const sameAs = JSON.stringify(
        DRAWN[name][1].map(function (key) {
          return key === 'older' ? [older.length, cursor] : data[key];
        })
      );
      if (part.drawn === sameAs) {
        return true;
      }
      if (isBusy(part)) {
        return false;
      }
      const act = focusedIn(part.element);
      part.drawn = sameAs;
      part.isBusy = null;
      dom.fill(part.element, DRAWN[name][0](data));
      part.element.hidden = !part.element.firstChild;
      const again = act && part.element.querySelector(act === 'summary' ? 'summary' : '[data-act="' + act + '"]');
      if (again) {
        again.focus();
      }
      return true;
    }

    function draw() {
      if (!card || !root) {
        return;
      }
      if (!card.client) {
        dom.fill(root, line, h('p', { class: 'crmhub-quiet' }, t('card.unknown')));
        parts = {};
        return;
      }
      if (!parts.head) {
        parts = {};
        Object.keys(DRAWN).forEach(function (name) {
          parts[name] = { element: h('div', { class: 'crmhub-part crmhub-part_' + name }), drawn: '' };
        });
        dom.fill(root, line, Object.keys(parts).map(function (name) {
          return parts[name].element;
        }));
      }
      const waiting = Object.keys(DRAWN).filter(function (name) {
        return !redraw(name, card);
      });
      window.clearTimeout(later);
      if (waiting.length) {
        later = window.setTimeout(draw, BUSY_MS);
      }
    }

    function skeleton() {
      const bones = ['60', '40', '90', '100', '100', '70'].map(function (width) {
        const bone = h('div', { class: 'crmhub-bone' });
        bone.style.width = width + '%';
        return bone;
      });
      dom.fill(root, line, h('div', { class: 'crmhub-bones', role: 'status', 'aria-label': t('card.loading') }, bones));
    }

    function say(text, tone) {
      line.textContent = text;
      line.hidden = !text;
      line.setAttribute('data-tone', tone || 'plain');
    }

    // --- reading ----------------------------------------------------------------------------------------------

    function path(before) {
      const query = '/card?entity=' + shown.entity + '&id=' + encodeURIComponent(shown.id);
      return before ? query + '&before=' + encodeURIComponent(before) : query;
    }

    function whole(answer) {
      const lists = ['interactions', 'tasks', 'deals', 'duplicates', 'can'];
      lists.forEach(function (name) {
        answer[name] = answer[name] || [];
      });
      if (answer.client) {
        answer.client.phones = answer.client.phones || [];
        answer.client.emails = answer.client.emails || [];
      }
      return answer;
    }

    function refresh() {
      if (!shown) {
        return;
      }
      const mine = (turn += 1);
      window.clearTimeout(timer);
      kit.api.get(path()).then(
        function (answer) {
          if (mine !== turn || !shown) {
            return;
          }
          failures = 0;
          card = whole(answer);
          if (!older.length) {
            cursor = card.before || null;
          }
          readAt = new Date().toISOString();
          say(kit.notice());
          draw();
        },
        function (error) {
          if (mine !== turn || !shown) {
            return;
          }
          failed(error);
        }
      );
    }

    function failed(error) {
      if (!card) {
        dom.fill(root, line);
      }
      if (error.kind === 'offline') {
        say(card ? t('card.stale', { when: kit.format.time(readAt) }) : t('card.offline'));
        timer = window.setTimeout(function () {
          if (place && place.isConnected) {
            refresh();
          }
        }, PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)] * (0.75 + Math.random() / 2));
        failures += 1;
      } else {
        say(error.message);
      }
    }

    function loadMore() {
      const at = turn;
      return kit.api.get(path(cursor)).then(function (answer) {
        if (at === turn && shown) {
          older = older.concat(answer.interactions || []);
          cursor = answer.before || null;
          draw();
        }
      });
    }

    function leave() {
      turn += 1;
      window.clearTimeout(timer);
      window.clearTimeout(later);
      player.silence();
      shown = null;
      card = null;
      older = [];
      cursor = null;
      parts = {};
      failures = 0;
    }

    return {
      /** Draws into `where` the card {entity, id}; the same place with the same card is only read again. */
      show: function (where, which) {
        const isSame = shown && where === place && shown.id === which.id && shown.entity === which.entity;
        if (!isSame) {
          leave();
          place = where;
          root = surface.open(where, kit.page, ['controls.css', 'panel.css']);
          line = h('p', { class: 'crmhub-quiet', role: 'status', hidden: true });
          shown = which;
          if (!kit.api.address) {
            dom.fill(root, line);
            say(t('card.not_connected'));
            shown = null;
            return;
          }
          skeleton();
        }
        refresh();
      },
      /** Something changed in the hub: read again when it is what is shown. */
      changed: function (entities) {
        const isMine = (entities || []).some(function (each) {
          return shown && String(each.id) === shown.id && each.entity === shown.entity;
        });
        if (isMine) {
          window.clearTimeout(timer);
          timer = window.setTimeout(refresh, SETTLE_MS * Math.random());
        }
      },
      refresh: refresh,
      leave: leave
    };
  };
});
