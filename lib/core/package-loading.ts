/**
 * Packages that are loaded when they are used: who does not use them need not install them, and waits for none of them.
 */
import { messageOf, StreamError } from './errors.ts';

/**
 * Loads a package. `load` holds the `import()` with the name in it, so that a bundler sees it.
 * Throws `PACKAGE_MISSING`, naming the package and what needs it.
 *
 * @example
 * const { Container } = await loadPackage('inversify', 'services', () => import('inversify'));
 */
export const loadPackage = async <M>(name: string, user: string, load: () => Promise<M>): Promise<M> => {
  try {
    return await load();
  } catch (cause) {
    throw new StreamError(
      'PACKAGE_MISSING',
      `${user} need the package '${name}', which can not be loaded: ${messageOf(cause)}`,
      {
        cause,
        hint: `\`npm install ${name}\`; a bundle has to leave it out, as an external package`,
        details: { package: name },
      },
    );
  }
};
