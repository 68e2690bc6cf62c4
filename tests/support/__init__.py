"""What tests share: tiny models and lakes, ways to damage and to kill, and checks of output."""
