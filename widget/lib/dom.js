/** Elements from plain values. Texts only ever become text nodes, so nothing that a client wrote can become markup. */
define([], function () {
  'use strict';

  const LONGEST = 320;
  const SVG = 'http://www.w3.org/2000/svg';
  /** Marks that turn the direction of a text: of no use in a label that a screen reader speaks. */
  const DIRECTION_MARKS = /[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

  function append(parent, child) {
    if (Array.isArray(child)) {
      child.forEach(function (each) {
        append(parent, each);
      });
    } else if (child !== null && child !== undefined && child !== false && child !== '') {
      parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }

  /**
   * An element. `attributes.on` are listeners by event; true writes an empty attribute; false, null and undefined
   * write none. Children are nodes, texts, or lists of them.
   */
  function h(name, attributes) {
    const element = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) {
      const value = attributes[key];
      if (key === 'on') {
        Object.keys(value).forEach(function (event) {
          element.addEventListener(event, value[event]);
        });
      } else if (value !== false && value !== null && value !== undefined) {
        element.setAttribute(key, value === true ? '' : String(value));
      }
    });
    append(element, Array.prototype.slice.call(arguments, 2));
    return element;
  }

  /** All that somebody wrote, isolated: right-to-left marks in it turn nothing around it. */
  function whole(text, className) {
    return h('bdi', { class: className || null, dir: 'auto' }, String(text || ''));
  }

  function short(text, most) {
    const all = String(text || '');
    return all.length > most ? all.slice(0, most - 1) + '…' : all;
  }

  /** A name, a title, a sentence that somebody wrote: isolated, and never longer than fits a card. */
  function user(text, className) {
    return whole(short(text, LONGEST), className);
  }

  /** A telephone number is read from the left in any language. */
  function number(text, className) {
    return h('bdi', { class: className || null, dir: 'ltr' }, short(text, 32));
  }

  /** A short spoken form of what somebody wrote, for labels and announcements. */
  function spoken(text) {
    return short(String(text || '').slice(0, 1000).replace(DIRECTION_MARKS, '').replace(/\s+/g, ' ').trim(), 120);
  }

  function empty(element) {
    while (element.firstChild) {
      element.removeChild(element.firstChild);
    }
    return element;
  }

  function fill(element) {
    empty(element);
    append(element, Array.prototype.slice.call(arguments, 1));
    return element;
  }

  /** An http(s) address, or '' for anything else: the hub's word is not taken for it. */
  function webAddress(url) {
    try {
      const parsed = new URL(String(url || ''), window.location.href);
      return parsed.protocol === 'https:' || parsed.protocol === 'http:' ? parsed.href : '';
    } catch (error) {
      return '';
    }
  }

  const PATHS = {
    phone: 'M6.6 10.8a15.5 15.5 0 0 0 6.6 6.6l2.2-2.2a1 1 0 0 1 1-.25 11.4 11.4 0 0 0 3.6.57 1 1 0 0 1 1 1V20a1 1 0 0 1-1 1A17 17 0 0 1 3 4a1 1 0 0 1 1-1h3.5a1 1 0 0 1 1 1c0 1.25.2 2.45.57 3.57a1 1 0 0 1-.25 1z',
    missed: 'M6.5 5.5 12 11l7-7 1 1-8 8-6.5-6.5V10H4V4h6v1.5zM23.7 16.7A16.9 16.9 0 0 0 12 12 16.9 16.9 0 0 0 .3 16.7a1 1 0 0 0 0 1.4l2.5 2.5a1 1 0 0 0 1.3.1 11 11 0 0 1 2.7-1.9 1 1 0 0 0 .6-.9v-3.1a15 15 0 0 1 9.2 0v3.1c0 .4.2.8.6.9 1 .5 1.9 1.1 2.7 1.9a1 1 0 0 0 1.3-.1l2.5-2.5a1 1 0 0 0 0-1.4z',
    chat: 'M20 3H4a2 2 0 0 0-2 2v15.2c0 .9 1 1.3 1.7.7L7.6 17H20a2 2 0 0 0 2-2V5a2 2 0 0 0-2-2zM7 11.2a1.2 1.2 0 1 1 0-2.4 1.2 1.2 0 0 1 0 2.4zm5 0a1.2 1.2 0 1 1 0-2.4 1.2 1.2 0 0 1 0 2.4zm5 0a1.2 1.2 0 1 1 0-2.4 1.2 1.2 0 0 1 0 2.4z',
    message: 'M20 4H4a2 2 0 0 0-2 2v12c0 1.1.9 2 2 2h16a2 2 0 0 0 2-2V6a2 2 0 0 0-2-2zm0 4.2-7.5 4.7a1 1 0 0 1-1 0L4 8.2V6.5l8 5 8-5z',
    form: 'M6 2a2 2 0 0 0-2 2v16c0 1.1.9 2 2 2h12a2 2 0 0 0 2-2V8l-6-6zm7 7V3.5L18.5 9zM7.5 13h9v1.6h-9zm0 3.5h6v1.6h-6z',
    record: 'M3 5h18v2.2H3zm0 6h18v2.2H3zm0 6h11v2.2H3z',
    close: 'M18.3 5.7a1 1 0 0 0-1.4 0L12 10.6 7.1 5.7a1 1 0 0 0-1.4 1.4l4.9 4.9-4.9 4.9a1 1 0 1 0 1.4 1.4l4.9-4.9 4.9 4.9a1 1 0 0 0 1.4-1.4L13.4 12l4.9-4.9a1 1 0 0 0 0-1.4z',
    minimise: 'M5 17h14v2H5z',
    down: 'M7.4 8.6 12 13.2l4.6-4.6L18 10l-6 6-6-6z',
    incoming: 'M18.6 4 7 15.6V9H5v10h10v-2H8.4L20 5.4z',
    outgoing: 'M9 5v2h6.6L4 18.6 5.4 20 17 8.4V15h2V5z',
    play: 'M8 5.1v13.8c0 .8.9 1.3 1.5.8l10.6-6.9c.6-.4.6-1.2 0-1.6L9.5 4.3c-.6-.4-1.5 0-1.5.8z',
    pause: 'M7 5h3.5v14H7zm6.5 0H17v14h-3.5z',
    check: 'M9.5 16.2 5.3 12l-1.4 1.4 5.6 5.6 12-12-1.4-1.4z',
    clock: 'M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm.9 10.4 4 2.4-.8 1.3-4.7-2.9V7h1.5z',
    info: 'M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm1 15h-2v-6h2zm0-8h-2V7h2z',
    person: 'M12 12a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zm0 2c-4 0-9 2-9 5.5V21h18v-1.5c0-3.5-5-5.5-9-5.5z',
    plus: 'M19 13h-6v6h-2v-6H5v-2h6V5h2v6h6z',
    trash: 'M6 7h12l-.9 13a2 2 0 0 1-2 1.9H8.9A2 2 0 0 1 6.9 20zm3.5-4h5l1 1.5H20V6H4V4.5h4.5z',
    up: 'M16.6 15.4 12 10.8l-4.6 4.6L6 14l6-6 6 6z',
    link: 'M14 3v2h3.6l-9.3 9.3 1.4 1.4L19 6.4V10h2V3zM5 5h6V3H5a2 2 0 0 0-2 2v14c0 1.1.9 2 2 2h14a2 2 0 0 0 2-2v-6h-2v6H5z'
  };

  /** A drawn sign; the words beside it say the same, so that nobody needs to see it. */
  function icon(name) {
    const svg = document.createElementNS(SVG, 'svg');
    const path = document.createElementNS(SVG, 'path');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('class', 'crmhub-icon');
    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('focusable', 'false');
    path.setAttribute('d', PATHS[name] || PATHS.record);
    svg.appendChild(path);
    return svg;
  }

  return {
    h: h,
    user: user,
    whole: whole,
    number: number,
    spoken: spoken,
    empty: empty,
    fill: fill,
    icon: icon,
    webAddress: webAddress
  };
});
