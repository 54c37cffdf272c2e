/** A recording: play, pause, a place in it, a faster pace. The sound is asked for only when somebody plays it. */
define(['./dom.js'], function (dom) {
  'use strict';

  const h = dom.h;
  const PACES = [1, 1.5, 2];
  let current = null;

  /** `seconds` is what is known of the length before the sound itself tells it. */
  function player(kit, url, seconds) {
    const t = kit.t;
    const address = dom.webAddress(url);
    if (!address) {
      return null;
    }
    let audio = null;
    let pace = 0;
    const button = h('button', { class: 'crmhub-player__play', type: 'button', on: { click: toggle } });
    const track = h('input', {
      class: 'crmhub-player__track',
      type: 'range',
      min: 0,
      max: Math.max(1, Math.round(seconds || 1)),
      step: 1,
      value: 0,
      'aria-label': t('history.position'),
      on: { input: seek }
    });
    const time = h('span', { class: 'crmhub-player__time' }, kit.format.duration(seconds || 0));
    const speed = h('button', { class: 'crmhub-player__pace', type: 'button', on: { click: faster } }, '1×');
    const element = h('div', { class: 'crmhub-player' }, button, track, time, speed);
    speed.setAttribute('aria-label', t('history.pace', { n: 1 }));
    sign(false);

    function sign(isPlaying) {
      dom.fill(button, dom.icon(isPlaying ? 'pause' : 'play'));
      button.setAttribute('aria-label', t(isPlaying ? 'history.pause' : 'history.play'));
      element.toggleAttribute('data-busy', isPlaying);
    }

    function progress() {
      track.value = String(Math.floor(audio.currentTime));
      track.style.setProperty('--crmhub-played', (100 * audio.currentTime) / Number(track.max) + '%');
      time.textContent = kit.format.duration(audio.currentTime) + ' / ' + kit.format.duration(Number(track.max));
    }

    function prepare() {
      audio = new Audio();
      audio.preload = 'metadata';
      audio.src = address;
      audio.addEventListener('loadedmetadata', function () {
        if (Number.isFinite(audio.duration)) {
          track.max = String(Math.max(1, Math.round(audio.duration)));
        }
      });
      audio.addEventListener('timeupdate', progress);
      audio.addEventListener('play', function () {
        sign(true);
      });
      audio.addEventListener('pause', function () {
        sign(false);
      });
      audio.addEventListener('error', failed);
    }

    function failed() {
      sign(false);
      time.textContent = t('history.unplayable');
    }

    function toggle() {
      if (!audio) {
        prepare();
      }
      if (!audio.paused) {
        audio.pause();
        return;
      }
      if (current && current !== audio) {
        current.pause();
      }
      current = audio;
      audio.playbackRate = PACES[pace];
      audio.play().catch(failed);
    }

    function seek() {
      if (!audio) {
        prepare();
      }
      audio.currentTime = Number(track.value);
      progress();
    }

    function faster() {
      pace = (pace + 1) % PACES.length;
      speed.textContent = PACES[pace] + '×';
      speed.setAttribute('aria-label', t('history.pace', { n: PACES[pace] }));
      if (audio) {
        audio.playbackRate = PACES[pace];
      }
    }

    return element;
  }

  /** Nothing plays on when the card is left. */
  player.silence = function () {
    if (current) {
      current.pause();
      current = null;
    }
  };
  return player;
});
