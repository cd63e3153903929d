"""Results to files: tables, figures, the report in one HTML file, Excel, JSON, methods text.

Reading order: ``tables``, ``figures``, ``overview_figures``, ``plate_figures``, ``whole_figures``, ``scales``,
``chart``, ``heat_map``, ``pictures``, ``cards``, ``plate_page``, ``desk``, ``methods``, ``workbook``, ``record``.
"""
