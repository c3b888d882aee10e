def write_report(folder):
    return "no report yet"
