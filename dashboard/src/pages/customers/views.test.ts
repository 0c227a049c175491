import { expect, test } from 'vitest';

import { deleteView, renameView, saveView, viewsOf } from './views';

const namesOf = (company: number) => viewsOf(company).map((view) => view.name);

test('views are saved, replaced, renamed and deleted, for each company', () => {
  saveView(1, 'VIP', { stage: 'vip' });
  saveView(1, ' Away ', { inactive_days_min: 60, sort: '-risk_score' });
  saveView(2, 'Other', { pinned: true });
  saveView(1, 'VIP', { stage: 'vip', risk_min: 0.5 });
  expect(namesOf(1)).toEqual(['Away', 'VIP']);
  expect(viewsOf(1)[1]?.search).toEqual({ stage: 'vip', risk_min: 0.5 });

  renameView(1, 'Away', 'Zzz');
  expect(namesOf(1)).toEqual(['VIP', 'Zzz']);
  expect(viewsOf(1)[1]?.search).toEqual({ inactive_days_min: 60, sort: '-risk_score' });
  deleteView(1, 'VIP');
  expect(namesOf(1)).toEqual(['Zzz']);
  expect(namesOf(2)).toEqual(['Other']);
});

test('a view without a name is not saved; words of a search and the page are left out', () => {
  saveView(3, '  ', { stage: 'vip' });
  saveView(3, 'Mine', { q: 'Ada Lovelace', cursor: 'abc', page: 2, stage: 'vip' });
  expect(viewsOf(3)).toEqual([{ name: 'Mine', search: { stage: 'vip' } }]);
  expect(localStorage.getItem('journey.views.3')).not.toContain('Ada');
});

test('what somebody else wrote into the browser does no harm', () => {
  localStorage.setItem('journey.views.4', '{"name":1}');
  localStorage.setItem('journey.views.5', '[{"name":"x","search":{"stage":"<b>","sort":"-name"}},null,3]');
  localStorage.setItem('journey.views.6', 'not json');
  expect([viewsOf(4), viewsOf(5), viewsOf(6)]).toEqual([[], [{ name: 'x', search: { sort: '-name' } }], []]);
});
