/** Moments, durations and amounts as people of the language write them, in the time zone of the manager's computer. */
define([], function () {
  'use strict';

  const DAY = 86400000;

  function pad(number) {
    return number < 10 ? '0' + number : String(number);
  }

  function startOfDay(date) {
    return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  }

  return function createFormat(t) {
    const locale = { ru: 'ru-RU', uk: 'uk-UA', en: 'en-GB' }[t.language];
    const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit' });
    const thisYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long' });
    const otherYear = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'long', year: 'numeric' });
    const amount = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });

    function time(iso) {
      return clock.format(new Date(iso));
    }

    /** "Today", "Yesterday", "Tomorrow", else the date. */
    function day(iso) {
      const date = new Date(iso);
      const now = new Date();
      const away = Math.round((startOfDay(date) - startOfDay(now)) / DAY);
      if (away >= -1 && away <= 1) {
        return t(['when.yesterday', 'when.today', 'when.tomorrow'][away + 1]);
      }
      return (date.getFullYear() === now.getFullYear() ? thisYear : otherYear).format(date);
    }

    /** "yesterday, 14:20": in the middle of a sentence. */
    function moment(iso) {
      const text = day(iso);
      return text.charAt(0).toLocaleLowerCase(locale) + text.slice(1) + ', ' + time(iso);
    }

    /** 65 -> "1:05", 3700 -> "1:01:40". */
    function duration(seconds) {
      const whole = Math.max(0, Math.floor(Number(seconds) || 0));
      const hours = Math.floor(whole / 3600);
      const minutes = Math.floor((whole % 3600) / 60);
      return (hours ? hours + ':' + pad(minutes) : String(minutes)) + ':' + pad(whole % 60);
    }

    /** What a date-time field of the browser holds: local, without a zone. */
    function forField(date) {
      return (
        date.getFullYear() + '-' + pad(date.getMonth() + 1) + '-' + pad(date.getDate()) +
        'T' + pad(date.getHours()) + ':' + pad(date.getMinutes())
      );
    }

    return {
      time: time,
      day: day,
      moment: moment,
      duration: duration,
      forField: forField,
      amount: function (number) {
        return amount.format(Number(number) || 0);
      },
      /** +380501234567 -> +380 50 123 45 67; any other text as it is. */
      phone: function (number) {
        const found = /^\+(380|375|994|996|998|7)(\d{2,3})(\d{3})(\d{2})(\d{2})$/.exec(String(number || ''));
        return found ? '+' + found.slice(1).join(' ') : String(number || '');
      }
    };
  };
});
