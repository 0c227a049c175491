import type { parts as english } from './parts.en';
import type { Texts } from './words';

export const parts: Texts<typeof english> = {
  table: {
    sortBy: 'Nach {{title}} sortieren',
    choose: '{{name}} auswählen',
    chooseAll: 'Alle dieser Seite auswählen',
    actions: 'Aktionen',
    rowNext: 'Nächste Zeile',
    rowBefore: 'Vorige Zeile',
    rowChoose: 'Zeile auswählen',
    chosen_one: '{{count, number}} ausgewählt',
    chosen_other: '{{count, number}} ausgewählt',
    allChosen_one: 'Der einzige Treffer ist ausgewählt',
    allChosen_other: 'Alle {{count, number}} Treffer sind ausgewählt',
    allMatching_one: 'Den einen Treffer auswählen',
    allMatching_other: 'Alle {{count, number}} Treffer auswählen',
    clear: 'Aufheben',
    selection: 'Ausgewählte Zeilen',
    pages: 'Seiten',
    next: 'Weiter',
    before: 'Zurück',
    first: 'Erste Seite',
    shown: '{{from}}–{{to}}',
    shownOf: '{{from}}–{{to}} von {{total}}',
    shownOfAbout: '{{from}}–{{to}} von etwa {{total}}',
    perPage: 'Zeilen je Seite',
  },
};
