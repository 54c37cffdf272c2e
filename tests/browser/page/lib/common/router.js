define(['screens'], function (screens) {
  'use strict';
  return screens.router;
});
