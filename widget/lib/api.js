/**
 * The hub's JSON API. Every call carries the pass that amoCRM signs; whoever asks follows from it alone.
 *
 * A failure is rejected as {kind, message, field}: `offline` when nobody answered or the hub is not ready (worth another
 * try later), `refused` when the hub answered and will not, with its own sentence that says what to do.
 */
define([], function () {
  'use strict';

  const TIMEOUT_MS = 15000;
  const TRANSIENT = [0, 408, 429, 500, 502, 503, 504];

  /** The name of one intent: the same one twice does the thing once. */
  function newRequest() {
    if (window.crypto && window.crypto.randomUUID) {
      return window.crypto.randomUUID();
    }
    const bytes = window.crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, function (byte) {
      return (byte + 256).toString(16).slice(1);
    }).join('');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }

  /**
   * The address of a hub as somebody typed it, without a slash at its end; '' when it cannot be one. A page that came
   * encrypted may not ask an unencrypted hub, so plain http is for test pages only.
   */
  function hubAddress(typed) {
    const text = String(typed || '').trim().replace(/\/+$/, '');
    try {
      const url = new URL(/^[a-z]+:\/\//i.test(text) ? text : 'https://' + text);
      const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && window.location.protocol === 'http:');
      const isPlain = !url.search && !url.hash && !url.username;
      return text && isSafe && isPlain ? (url.origin + url.pathname).replace(/\/+$/, '') : '';
    } catch (error) {
      return '';
    }
  }

  function createApi(page, t, address) {
    function failure(answer) {
      const told = (answer.body && answer.body.error) || {};
      const kind = TRANSIENT.indexOf(answer.status) >= 0 ? 'offline' : 'refused';
      let message = told.message || '';
      if (!message) {
        message = t(kind === 'offline' ? 'error.offline' : answer.status === 401 ? 'error.pass' : 'error.refused');
      }
      return { kind: kind, status: answer.status, code: told.code || '', field: told.field || '', message: message };
    }

    function call(method, path, body) {
      if (!address) {
        return Promise.reject({ kind: 'refused', status: 0, code: 'address', message: t('error.address') });
      }
      const mark = path.indexOf('?') < 0 ? '?' : '&';
      const options = {
        url: address + '/widget/api' + path + mark + 'lang=' + t.language,
        method: method,
        dataType: 'json',
        timeout: TIMEOUT_MS
      };
      if (body) {
        options.data = JSON.stringify(body);
        options.contentType = 'application/json';
      }
      return page.request(options).catch(function (answer) {
        throw failure(answer);
      });
    }

    return {
      address: address,
      get: function (path) {
        return call('GET', path);
      },
      post: function (path, body) {
        return call('POST', path, body || {});
      },
      put: function (path, body) {
        return call('PUT', path, body);
      },
      /** Where the live events come from. */
      streamUrl: function (ticket, after) {
        const query = 'ticket=' + encodeURIComponent(ticket) + '&after=' + encodeURIComponent(after || '');
        return address + '/widget/api/live?' + query + '&lang=' + t.language;
      }
    };
  }

  return { createApi: createApi, hubAddress: hubAddress, newRequest: newRequest };
});
