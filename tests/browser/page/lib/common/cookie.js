define([], function () {
  'use strict';
  return {
    get: function (name) {
      var found = document.cookie.split('; ').filter(function (one) { return one.indexOf(name + '=') === 0; })[0];
      return found ? decodeURIComponent(found.slice(name.length + 1)) : null;
    }
  };
});
