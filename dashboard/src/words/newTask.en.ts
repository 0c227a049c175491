/** The texts of a new task, in English. */
export const newTask = {
  newTask: {
    button: 'New task',
    general: 'New task without a customer',
    title: 'New task',
    titleFor: 'New task for {{name}}',
    about: 'This task is about no customer. If it concerns one, open that customer’s page first.',
    what: 'What is to be done',
    day: 'Due on',
    time: 'At',
    assignee: 'Who does it',
    note: 'Note',
    save: 'Create the task',
    created: '{{title}} is due on {{time}}.',
    past: 'This time has passed: the task is overdue at once.',
  },
};
