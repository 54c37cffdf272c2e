/**
 * The pile of popups in a corner of the page: three at most, the most urgent whole and the others as a line, the rest
 * behind "N more". It can be moved and minimised, keeps away from the CRM's Save, and lives outside of the CRM's page
 * regions, so navigation does not touch it.
 */
define(['./dom.js', './surface.js', './popup_view.js'], function (dom, surface, popupView) {
  'use strict';

  const h = dom.h;
  const SHOWN = 3;
  const MARGIN = 12;
  const TOAST_MS = 7000;
  /** Buttons of the CRM that save: nothing of ours may lie over them. */
  const SAVE = 'button[class*="save"], button[id*="save"], button[class*="accept"], button[class*="button-input_blue"]';

  return function createStack(kit, actions, handlers) {
    const t = kit.t;
    const views = new Map();
    const told = new Map();
    let place = null;
    let root = null;
    let pile = null;
    let more = null;
    let pill = null;
    let toast = null;
    let toastTimer = 0;
    let polite = null;
    let urgent = null;
    let popups = [];
    let chosen = '';
    let isOpen = false;
    let isMinimised = kit.memory.get('minimised') === 'yes';

    function build() {
      place = h('div', { class: 'crmhub crmhub-popups' });
      document.body.appendChild(place);
      root = surface.open(place, kit.page, ['controls.css', 'popup.css'], settle);
      polite = h('div', { class: 'crmhub-spoken', 'aria-live': 'polite' });
      urgent = h('div', { class: 'crmhub-spoken', 'aria-live': 'assertive' });
      pile = h('div', { class: 'crmhub-pile', role: 'region', 'aria-label': t('popup.region') });
      more = h('button', {
        class: 'crmhub-more',
        type: 'button',
        on: {
          click: function () {
            isOpen = !isOpen;
            draw();
          }
        }
      });
      pill = h('button', {
        class: 'crmhub-pill',
        type: 'button',
        on: {
          click: function () {
            minimise(false);
            focusFirst();
          }
        }
      });
      toast = h('p', { class: 'crmhub-toast', role: 'status', hidden: true });
      dom.fill(root, polite, urgent, toast, pile, pill);
      pile.addEventListener('pointerdown', grab);
      window.addEventListener('resize', settle);
    }

    function focusFirst() {
      const first = popups[0] && views.get(popups[0].key);
      if (first) {
        (first.element.querySelector('.crmhub-button') || first.element).focus();
      }
    }

    function minimise(value) {
      isMinimised = value;
      kit.memory.set('minimised', value ? 'yes' : 'no');
      draw();
      if (value && pill) {
        pill.focus();
      }
      handlers.minimised(value);
    }

    function viewOf(popup) {
      if (!views.has(popup.key)) {
        views.set(
          popup.key,
          popupView.createView(kit, actions, {
            close: function (key) {
              const index = shown().findIndex(function (each) {
                return each.key === key;
              });
              handlers.close(key);
              const next = shown()[Math.min(index, shown().length - 1)];
              if (next && views.get(next.key)) {
                views.get(next.key).element.focus();
              }
            },
            expand: function (key) {
              chosen = key;
              draw();
              views.get(key).element.focus();
            },
            minimise: function () {
              minimise(true);
            },
            done: handlers.done
          })
        );
      }
      return views.get(popup.key);
    }

    function shown() {
      return isOpen ? popups : popups.slice(0, SHOWN);
    }

    /** The popup that is drawn whole: what rings, else what the manager unfolded, else the first. */
    function wholeKey() {
      const first = popups[0] || {};
      const picked = shown().find(function (popup) {
        return popup.key === chosen;
      });
      if (!picked || (first.state === 'ringing' && picked.state !== 'ringing')) {
        chosen = '';
        return first.key;
      }
      return chosen;
    }

    function announce() {
      popups.forEach(function (popup) {
        const text = popupView.announcement(kit, popup);
        if (told.get(popup.key) !== text) {
          told.set(popup.key, text);
          (popup.state === 'ringing' ? urgent : polite).textContent = text;
        }
      });
    }

    function drawPill() {
      const isRinging = popups.some(function (popup) {
        return popup.state === 'ringing';
      });
      pill.classList.toggle('crmhub-pill_ringing', isRinging);
      dom.fill(pill, dom.icon(isRinging ? 'phone' : 'chat'), h('span', {}, t.count('popup.waiting', popups.length)));
    }

    /** Puts the drawn popups in order, moving only those that stand elsewhere, so that focus and forms stay. */
    function order(elements) {
      let at = pile.firstChild;
      elements.forEach(function (element) {
        if (element === at) {
          at = at.nextSibling;
        } else {
          pile.insertBefore(element, at);
        }
      });
      while (at) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
    }

    function prepare() {
      if (!place || !place.isConnected) {
        views.clear();
        build();
      }
    }

    function draw() {
      if (!popups.length && !place) {
        return;
      }
      prepare();
      const visible = shown();
      const whole = wholeKey();
      const keys = popups.map(function (popup) {
        return popup.key;
      });
      Array.from(views.keys()).forEach(function (key) {
        if (keys.indexOf(key) < 0) {
          views.delete(key);
          told.delete(key);
        }
      });
      const elements = visible.map(function (popup, index) {
        const view = viewOf(popup);
        view.update(popup, popup.key === whole, index === 0);
        return view.element;
      });
      if (popups.length > SHOWN) {
        more.textContent = isOpen ? t('popup.fewer') : t.count('popup.more', popups.length - SHOWN);
        more.setAttribute('aria-expanded', String(isOpen));
        elements.push(more);
      } else {
        isOpen = false;
      }
      order(elements);
      announce();
      drawPill();
      pile.classList.toggle('crmhub-pile_open', isOpen);
      pile.hidden = isMinimised || !popups.length;
      pill.hidden = !isMinimised || !popups.length;
      settle();
    }

    // --- where it stands --------------------------------------------------------------------------------------

    function clamp(value, least, most) {
      return Math.max(least, Math.min(most, value));
    }

    function put(right, bottom) {
      place.style.setProperty('--crmhub-right', Math.round(right) + 'px');
      place.style.setProperty('--crmhub-bottom', Math.round(bottom) + 'px');
    }

    function wanted() {
      const parts = (kit.memory.get('place') || '').split(' ').map(Number);
      return parts.length === 2 && parts.every(Number.isFinite) ? parts : [24, 24];
    }

    function box() {
      return (isMinimised ? pill : pile).getBoundingClientRect();
    }

    function overlaps(one, other) {
      return (
        one.left < other.right + MARGIN && other.left < one.right + MARGIN &&
        one.top < other.bottom + MARGIN && other.top < one.bottom + MARGIN
      );
    }

    /** Puts the pile where the manager left it, inside of the window, and off any Save button that is in view. */
    function settle() {
      if (!place || !popups.length) {
        return;
      }
      const mine = box();
      const right = clamp(wanted()[0], MARGIN, Math.max(MARGIN, window.innerWidth - mine.width - MARGIN));
      const bottom = clamp(wanted()[1], MARGIN, Math.max(MARGIN, window.innerHeight - mine.height - MARGIN));
      put(right, bottom);
      const saves = Array.from(document.querySelectorAll(SAVE))
        .map(function (button) {
          return button.getBoundingClientRect();
        })
        .filter(function (rect) {
          return rect.width > 0 && rect.height > 0 && rect.bottom > 0 && rect.top < window.innerHeight;
        });
      const covered = saves.find(function (rect) {
        return overlaps(box(), rect);
      });
      if (covered) {
        const above = window.innerHeight - covered.top + MARGIN;
        if (above + mine.height + MARGIN <= window.innerHeight) {
          put(right, above);
        } else {
          put(clamp(window.innerWidth - covered.left + MARGIN, MARGIN, window.innerWidth - mine.width - MARGIN), bottom);
        }
      }
    }

    function grab(event) {
      const grip = event.target.closest && event.target.closest('[data-grip]');
      if (!grip || event.target.closest('button, a') || event.button !== 0) {
        return;
      }
      const from = pile.getBoundingClientRect();
      const start = { x: event.clientX, y: event.clientY };

      function move(moved) {
        put(
          clamp(window.innerWidth - from.right - (moved.clientX - start.x), MARGIN, window.innerWidth - from.width - MARGIN),
          clamp(window.innerHeight - from.bottom - (moved.clientY - start.y), MARGIN, window.innerHeight - from.height - MARGIN)
        );
      }

      function drop(dropped) {
        grip.removeEventListener('pointermove', move);
        grip.removeEventListener('pointerup', drop);
        grip.removeEventListener('pointercancel', drop);
        if (Math.abs(dropped.clientX - start.x) + Math.abs(dropped.clientY - start.y) > 4) {
          const now = pile.getBoundingClientRect();
          kit.memory.set('place', Math.round(window.innerWidth - now.right) + ' ' + Math.round(window.innerHeight - now.bottom));
        }
      }

      grip.setPointerCapture(event.pointerId);
      grip.addEventListener('pointermove', move);
      grip.addEventListener('pointerup', drop);
      grip.addEventListener('pointercancel', drop);
    }

    return {
      show: function (list) {
        popups = list;
        draw();
      },
      tick: function () {
        views.forEach(function (view) {
          view.tick();
        });
      },
      settle: settle,
      /** Somebody looks at this popup, or is half way through something in it: it does not go by itself. */
      isHeld: function (key) {
        const view = views.get(key);
        return Boolean(view) && (view.isBusy() || view.element.matches(':hover, :focus-within'));
      },
      setMinimised: function (value) {
        isMinimised = value;
        draw();
      },
      /** A word about something that was asked for without a popup: a number that was clicked. */
      say: function (text, tone) {
        prepare();
        draw();
        toast.textContent = text;
        toast.hidden = false;
        toast.setAttribute('data-tone', tone);
        window.clearTimeout(toastTimer);
        toastTimer = window.setTimeout(function () {
          toast.hidden = true;
        }, TOAST_MS);
      },
      /** The keyboard's way in. */
      focus: function () {
        if (popups.length) {
          if (isMinimised) {
            minimise(false);
          }
          focusFirst();
        }
      },
      stop: function () {
        window.removeEventListener('resize', settle);
        window.clearTimeout(toastTimer);
        if (place) {
          place.remove();
        }
        place = null;
        views.clear();
      }
    };
  };
});
