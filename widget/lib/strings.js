/**
 * Texts in the manager's language. amoCRM loads the texts of the locales that the manifest declares (ru, en); Ukrainian
 * may not be declared there, so the widget carries it itself (uk.js) and takes it when the page speaks Ukrainian.
 */
define(['./uk.js'], function (ukrainian) {
  'use strict';

  function fromTree(tree, key) {
    const parts = key.split('.');
    return (tree[parts[0]] || {})[parts[1]] || '';
  }

  /** `t(key, values)` gives a text with its `{places}` filled; `t.count(key, n)` the form that the number asks for. */
  return function createStrings(page) {
    const isUkrainian = /^(uk|ua)/.test(page.language());

    function raw(key) {
      return isUkrainian ? fromTree(ukrainian, key) : page.text(key);
    }

    function t(key, values) {
      return raw(key).replace(/\{([a-z_]+)\}/g, function (place, name) {
        return values && values[name] !== undefined ? String(values[name]) : '';
      });
    }

    t.language = isUkrainian ? 'uk' : raw('widget.language') || 'en';
    const plural = new Intl.PluralRules(t.language);
    t.count = function (key, number) {
      return t(key + '_' + plural.select(number), { n: number });
    };
    return t;
  };
});
