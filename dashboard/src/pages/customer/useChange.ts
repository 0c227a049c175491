import { useMutation, useQueryClient } from '@tanstack/react-query';

/** What no change of a customer touches. */
const CONSTANT = new Set<unknown>(['session', 'stages', 'people']);

/** Returns a change of the customer. When it is answered, or fails, what the page shows is read again. */
export function useChange<In, Out>(
  change: (input: In) => Promise<Out>,
  onDone: (out: Out, input: In) => void,
) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess: onDone,
    onSettled: () => {
      void client.invalidateQueries({ predicate: ({ queryKey }) => !CONSTANT.has(queryKey[0]) });
    },
  });
}
