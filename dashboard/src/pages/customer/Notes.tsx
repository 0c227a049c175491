import { useQuery } from '@tanstack/react-query';

import { peopleQuery } from '../../api/queries/people';
import { Editable } from './Editable';

const MAX_OWNER = 255;
const MAX_NOTES = 10_000;

/** Who is responsible, and what people noted. */
export function Notes() {
  const people = useQuery(peopleQuery());
  const names = people.data?.items.map((person) => person.name) ?? [];
  return (
    <dl className="figures written">
      <Editable field="owner" maxLength={MAX_OWNER} options={names} />
      <Editable field="notes" maxLength={MAX_NOTES} />
    </dl>
  );
}
