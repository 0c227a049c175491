import { theme as antd, type ThemeConfig } from 'antd';

export type Theme = 'light' | 'dark';

const TOKENS = {
  light: {
    colorPrimary: '#3448C5',
    colorLink: '#3448C5',
    colorText: '#1E2128',
    colorTextSecondary: '#5D626D',
    colorTextPlaceholder: '#6B7079',
    colorBgContainer: '#FFFFFF',
    colorBgElevated: '#FFFFFF',
    colorBorder: '#DAD6CD',
    colorError: '#B3261E',
  },
  dark: {
    colorPrimary: '#9AA8FF',
    colorLink: '#9AA8FF',
    colorText: '#ECEDF0',
    colorTextSecondary: '#A3A8B4',
    colorTextPlaceholder: '#9298A5',
    colorBgContainer: '#1A1C22',
    colorBgElevated: '#21242C',
    colorBorder: '#3A3E49',
    colorError: '#FF8A80',
  },
} satisfies Record<Theme, NonNullable<ThemeConfig['token']>>;

/** antd in the colours of tokens.css. Its own primary colour has too little contrast. */
export function antdTheme(theme: Theme, motion: boolean): ThemeConfig {
  const isDark = theme === 'dark';
  return {
    algorithm: isDark ? antd.darkAlgorithm : antd.defaultAlgorithm,
    token: {
      ...TOKENS[theme],
      fontFamily: "'Inter Variable', system-ui, sans-serif",
      borderRadius: 8,
      controlHeight: 34,
      motion,
    },
    components: {
      Button: { primaryColor: isDark ? '#14161B' : '#FFFFFF', fontWeight: 550 },
    },
  };
}
