/* The page's window class, as far as the vendor documents it. */
define(['jquery'], function ($) {
  'use strict';

  function Modal(options) {
    var self = this;
    this.options = $.extend({ class_name: '', init: $.noop, destroy: $.noop, container: document.body }, options);
    this.$modal = $('<div class="modal"><div class="modal-scroller"><div class="modal-body"></div></div></div>');
    this.$modal.addClass(this.options.class_name);
    this.$body = this.$modal.find('.modal-body');
    this.$modal.on('click', '.modal-body__close', function () { self.close(); });
    if (!this.options.disable_overlay_click) {
      this.$modal.on('click', function (event) {
        if (event.target === self.$modal[0]) { self.close(); }
      });
    }
    this._keys = function (event) {
      if (event.keyCode === 27 && !self.options.disable_escape_keydown) { self.close(); }
    };
    $(document).on('keydown', this._keys);
    $(this.options.container).append(this.$modal);
    this.$body.on('modal:loaded', function () { return undefined; });
    this.options.init.call(this, this.$body);
    if (!this.$body.find('.modal-body__close').length) {
      this.$body.append('<button type="button" class="modal-body__close" aria-label="close">×</button>');
    }
    this.$modal.find(this.options.focus_element || '.js-modal-accept').first().focus();
  }
  Modal.prototype.close = function () {
    if (this.options.destroy.call(this) !== false) {
      this.destroy();
    }
  };
  Modal.prototype.destroy = function () {
    $(document).off('keydown', this._keys);
    this.$modal.remove();
  };
  Modal.prototype._showError = function (text) {
    this.$body.append($('<div class="modal-body__error">').text(text));
  };
  return Modal;
});
