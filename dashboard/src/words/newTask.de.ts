import type { NewTaskWords } from './words';

export const newTask: NewTaskWords = {
  newTask: {
    button: 'Neue Aufgabe',
    general: 'Neue Aufgabe ohne Kunden',
    title: 'Neue Aufgabe',
    titleFor: 'Neue Aufgabe zu {{name}}',
    about: 'Diese Aufgabe betrifft keinen Kunden. Soll sie einen betreffen, öffnen Sie zuerst dessen Seite.',
    what: 'Was zu tun ist',
    day: 'Fällig am',
    time: 'Um',
    assignee: 'Wer macht es',
    note: 'Notiz',
    save: 'Aufgabe anlegen',
    created: '{{title}} ist fällig: {{time}}.',
    past: 'Diese Zeit ist vorbei: Die Aufgabe ist sofort überfällig.',
  },
};
