define([], function () {
  'use strict';
  return {
    escapeHtml: function (text) {
      return String(text).replace(/[&<>"']/g, function (one) { return '&#' + one.charCodeAt(0) + ';'; });
    }
  };
});
