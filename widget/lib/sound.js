/** Two soft tones for a ringing call, made by the browser; silent until the manager has touched the page. */
define([], function () {
  'use strict';

  return function createSound() {
    let context = null;

    function mayPlay() {
      return Boolean(window.AudioContext) && (!navigator.userActivation || navigator.userActivation.hasBeenActive);
    }

    function tone(frequency, start) {
      const source = context.createOscillator();
      const volume = context.createGain();
      source.type = 'sine';
      source.frequency.value = frequency;
      volume.gain.setValueAtTime(0, start);
      volume.gain.linearRampToValueAtTime(0.12, start + 0.03);
      volume.gain.exponentialRampToValueAtTime(0.0005, start + 0.4);
      source.connect(volume).connect(context.destination);
      source.start(start);
      source.stop(start + 0.45);
    }

    return {
      ring: function () {
        if (!mayPlay()) {
          return;
        }
        context = context || new AudioContext();
        context.resume();
        tone(659, context.currentTime);
        tone(880, context.currentTime + 0.18);
      },
      stop: function () {
        if (context) {
          context.close();
          context = null;
        }
      }
    };
  };
});
