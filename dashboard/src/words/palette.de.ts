import type { palette as english } from './palette.en';
import type { Texts } from './words';

export const palette: Texts<typeof english> = {
  palette: {
    open: 'Kunde oder Seite finden',
    title: 'Finden',
    pages: 'Seiten',
    recent: 'Zuletzt geöffnet',
    customers: 'Kunden',
    searching: 'Sucht …',
    none: 'Zu „{{words}}“ ist nichts zu finden.',
    failed: 'Kunden ließen sich nicht suchen.',
    found_one: '{{count, number}} Treffer',
    found_other: '{{count, number}} Treffer',
    foundFirst_one: 'Der erste Treffer',
    foundFirst_other: 'Die ersten {{count, number}} Treffer',
    hint: 'Auf und ab wählt, Enter öffnet, Escape schließt.',
    allMatching: 'Alle Kunden zu „{{words}}“',
  },
  keys: {
    title: 'Tastenkürzel',
    go: 'Überall',
    page: 'Auf dieser Seite',
    list: 'In der Liste',
    open: 'Zeile öffnen',
    goTo: 'Zu {{page}}',
    search: 'Finden',
    help: 'Diese Kürzel zeigen',
    shorter: 'Kürzerer Zeitraum',
    longer: 'Längerer Zeitraum',
    sequence: 'dann',
    letters: 'Einzelne Buchstaben sind Kürzel',
    lettersHint: 'In Feldern und Dialogen wirken sie nie.',
  },
  rail: {
    count: '{{page}}, {{formatted}}',
    agree: 'Alle Zahlen stimmen überein',
    differ: 'Zahlen weichen ab',
    pending: 'Zahlen werden noch gezählt',
    differHint: 'Die nächtliche Prüfung fand Unterschiede zwischen Berichten und Kundenreisen.',
    checked: 'Geprüft {{time}}',
  },
};
