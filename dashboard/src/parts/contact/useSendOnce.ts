import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';

import { forgetUnanswered, isAnswer, unansweredOf } from '../../api/unanswered';

type Request<Body, Answer> = {
  /** What the request is kept as until it is answered. */
  purpose: string;
  send: (body: Body) => Promise<Answer>;
  onSent: (answer: Answer) => void;
};

/**
 * Returns a request that is carried out once, even if its answer is lost and it is sent again. A request without an answer
 * is shown as it was sent: a retry must send the same body.
 */
export function useSendOnce<Body, Answer>({ purpose, send, onSent }: Request<Body, Answer>) {
  const [earlier, setEarlier] = useState(() => unansweredOf<Body>(purpose));
  const { mutate, error, isPending, reset } = useMutation({
    mutationFn: send,
    onSuccess: onSent,
    onError: () => setEarlier(unansweredOf<Body>(purpose)),
  });
  const isUnanswered = earlier !== null && (error === null || !isAnswer(error));
  return {
    /** The body that was sent and not answered. */
    earlier: earlier?.body ?? null,
    isUnanswered,
    isPending,
    error,
    reset,
    send: (body: Body) => mutate(earlier?.body ?? body),
    giveUp: () => {
      forgetUnanswered(purpose);
      setEarlier(null);
      reset();
    },
  };
}
