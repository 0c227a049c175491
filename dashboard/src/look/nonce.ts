/**
 * The nonce of this page, for style elements that are made at run time. Imported before anything that makes one: antd
 * makes two of them (scroll lock, width of the scroll bar) without the nonce that it is given.
 */
export const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? '';

const create = document.createElement.bind(document);

document.createElement = (tag: string, options?: ElementCreationOptions) => {
  const element = create(tag, options);
  if (tag === 'style') element.nonce = nonce;
  return element;
};
